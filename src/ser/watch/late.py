"""Labels that arrive late: the champion against what listeners said.

People correct what they find wrong, so the share of right answers here is lower than over all
answers; it is of use beside the same share of another version, or of another month.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser.bundle import load_bundle, load_encoder_of
from ser.errors import AudioError
from ser.inbox.corrections import CORRECTION, RECORDING, REQUEST_ID
from ser.io.audio.read import load_mono
from ser.predictor import Predictor

#: The newest corrections that are scored.
MOST = 500


@dataclass(frozen=True)
class Late:
    """labels : corrections with a label that the model has. right : of these, how many answers
    agree; an abstention does not. recall : by the emotion that listeners named; uar : their mean.
    answered_anew : recordings that this version was asked again; of the others its own answer of
    then counts, and other versions' do not.
    """

    labels: int
    right: int
    uar: float | None
    recall: dict[str, float]
    answered_anew: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def score(folder: Path, directory: Path, version: int | None) -> Late:
    """Score a version, whose bundle lies in `directory`, on the corrections in `folder`."""
    corrections = list(_corrections(folder))
    if not corrections:
        return Late(0, 0, None, {}, 0)
    bundle = load_bundle(directory)
    predictor = Predictor(bundle, load_encoder_of(bundle))
    pairs: list[tuple[str, str | None]] = []
    anew = 0
    for entry, correction in corrections:
        label = correction.get("label")
        if label not in bundle.classes:
            continue
        answer = _asked_anew(predictor, entry / RECORDING)
        if answer is not None:
            anew += 1
            pairs.append((label, answer[0]))
        elif correction.get("model_version") == version and correction.get("predicted"):
            pairs.append((label, correction["predicted"]))
    uttered = sorted({label for label, _ in pairs})
    recall = {
        emotion: float(np.mean([answer == emotion for label, answer in pairs if label == emotion]))
        for emotion in uttered
    }
    return Late(
        labels=len(pairs),
        right=sum(label == answer for label, answer in pairs),
        uar=float(np.mean(list(recall.values()))) if recall else None,
        recall=recall,
        answered_anew=anew,
    )


def _asked_anew(predictor: Predictor, recording: Path) -> tuple[str | None] | None:
    """The emotion, None for an abstention; None for all where there is no readable recording."""
    try:
        y, sr = load_mono(recording)
        return (predictor.predict(y, sr=sr).emotion,)
    # It may be deleted at any time.
    except (AudioError, OSError):
        return None


def _corrections(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The newest ones, with their folders; those that are deleted meanwhile are left out."""
    entries = [path for path in folder.glob("*") if REQUEST_ID.fullmatch(path.name)]
    found = []
    for entry in entries:
        try:
            text = (entry / CORRECTION).read_text(encoding="utf-8")
            found.append((entry, json.loads(text)))
        except (OSError, ValueError):
            continue
    yield from sorted(found, key=lambda one: str(one[1].get("time")), reverse=True)[:MOST]
