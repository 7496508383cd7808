"""Answers on their way from a worker."""

from __future__ import annotations

import json
import math

import pytest

from ser.predictor import Prediction
from ser.serve.workers.rows import portable_answer


@pytest.mark.parametrize(("novelty", "sent"), [(math.inf, None), (1.5, 1.5), (None, None)])
def test_an_answer_is_json_however_far_from_the_training_speech(novelty, sent):
    prediction = Prediction("fear", 0.8, {"fear": 0.8}, ("fear",), novelty=novelty)
    answer = portable_answer(prediction)
    assert json.loads(json.dumps(answer, allow_nan=False))["novelty"] == sent
