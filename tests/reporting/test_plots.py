"""Pictures of every emotion that the platform has."""

import numpy as np
import pandas as pd

from ser.core.features.extract import lld
from ser.core.utterance.emotions import COLOURS, EMOTIONS
from ser.params import FeatureParams
from ser.reporting.panels import emotion_panels
from ser.reporting.plots import confusion_matrix, recall_bars
from support.signals import noise


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
