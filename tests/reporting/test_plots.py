"""Pictures of every emotion that the platform has."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.core.features.extract import lld
from ser.core.utterance.emotions import COLOURS, EMOTIONS
from ser.errors import SerError
from ser.params import FeatureParams
from ser.reporting.canvas import format_of
from ser.reporting.panels import emotion_panels
from ser.reporting.plots import confusion_matrix, recall_bars
from ser.reporting.timelines import timeline_figure
from support.signals import noise
from support.turns import timeline_of_turns


def test_every_emotion_has_a_colour_of_its_own():
    assert len(set(COLOURS.values())) == len(EMOTIONS)


def test_every_emotion_is_drawn():
    samples = {emotion: noise(seed=i) for i, emotion in enumerate(EMOTIONS)}
    descriptors = {name: lld(y, params=FeatureParams()) for name, y in samples.items()}
    panels = emotion_panels(samples, descriptors, features=FeatureParams(), title="all")
    assert {axes.get_title() for axes in panels.axes} >= set(EMOTIONS)
    bars = recall_bars(dict.fromkeys(EMOTIONS, 0.5), chance=1 / 11, title="all")
    assert [t.get_text() for t in bars.axes[0].get_xticklabels()] == list(EMOTIONS)
    counts = pd.DataFrame(np.eye(11, dtype=int), index=EMOTIONS, columns=EMOTIONS)
    assert len(confusion_matrix(counts, title="all").axes[0].get_yticklabels()) == 11


def test_dollar_signs_in_a_name_are_no_formula():
    name = "5$ and $\\frac{"
    counts = pd.DataFrame(np.eye(2, dtype=int), index=["a", name], columns=["a", name])
    drawn = [
        confusion_matrix(counts, title=name),
        timeline_figure(timeline_of_turns([(0.0, 1.0, "anger")], file=name)),
    ]
    for figure in drawn:
        figure.savefig(io.BytesIO(), format="svg")
    assert drawn[1].get_suptitle().startswith(name)


def test_a_figure_of_an_unknown_format_is_one_line():
    with pytest.raises(SerError, match=r"a\.docx has the suffix '\.docx'; .*\.png, \.svg, \.pdf"):
        format_of(Path("a.docx"))
