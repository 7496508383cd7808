"""The reference that a bundle carries."""

import numpy as np
import pandas as pd
import pytest

from ser.core.drift.figures import NAMES
from ser.core.drift.reference import MOST_OF_SPEAKER, Reference
from ser.errors import BundleError


def of(n: int) -> Reference:
    rng = np.random.default_rng(0)
    values = pd.DataFrame({"snr_db": rng.normal(30, 3, n), "novelty": rng.normal(1, 0.1, n)})
    return Reference.of(values, speaker=np.arange(n) % 3, seed=7)


def test_it_comes_back_as_it_was_saved():
    found = of(90)
    again = Reference.from_arrays(found.to_arrays())
    pd.testing.assert_frame_equal(again.values, found.values)
    assert (again.speaker == found.speaker).all()


def test_it_has_a_column_for_each_figure_and_no_name_of_a_speaker():
    found = of(90)
    assert tuple(found.values) == NAMES
    assert found.values["pitch_hz"].isna().all()
    assert set(found.to_arrays()) == {"speaker", *NAMES}
    assert found.speaker.dtype == np.int32


def test_a_speaker_of_thousands_of_utterances_has_few_rows():
    assert np.bincount(of(3_000).speaker).tolist() == [MOST_OF_SPEAKER] * 3


def test_columns_of_other_lengths_are_refused():
    arrays = of(90).to_arrays()
    arrays["snr_db"] = arrays["snr_db"][1:]
    with pytest.raises(BundleError, match="Train the model again"):
        Reference.from_arrays(arrays)
