"""Graded intensities stand in their order, not in the alphabet's."""

import math

import pytest

from ser.core.utterance.intensity import grade


@pytest.mark.parametrize(
    "weakest_first",
    [
        ("LO", "MD", "HI"),
        ("low", "medium", "high"),
        ("normal", "strong"),
        ("very_low", "Low", "moderate", "High", "very high"),
        ("1", "2", "10"),
        ("level 1", "level 9", "level 10"),
        ("0.5", "0.75", "1.0"),
        ("weak", "medium", "strong"),
    ],
)
def test_intensities_grow_in_their_own_order(weakest_first):
    grades = [grade(intensity) for intensity in weakest_first]
    assert grades == sorted(grades)
    assert len(set(grades)) == len(grades)


@pytest.mark.parametrize("intensity", ["unspecified", "XX", "unknown", "", "whispered"])
def test_what_says_no_intensity_has_no_grade(intensity):
    assert math.isnan(grade(intensity))
