"""An explanation as a JSON object, `ser.explanation/1`. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ser.explanation.attribution.importance import Importances
from ser.explanation.clip import Explained
from ser.explanation.counterfactual.search import Searched
from ser.explanation.words import LIMITS
from ser.predictor import Prediction

SCHEMA = "ser.explanation/1"
#: Regions of the log-mel that are named.
REGIONS = 6


def document(file: str, explained: Explained) -> dict[str, Any]:
    """All of an explanation but samples and log-mels."""
    return {
        "schema": SCHEMA,
        "file": file,
        **_answer(explained.prediction),
        "novelty": explained.prediction.novelty,
        "posteriors": explained.prediction.posteriors,
        "attributions": _attributions(explained),
        "unusual": [asdict(distance) for distance in explained.distances],
        "counterfactuals": _counterfactuals(explained),
        "limits": LIMITS,
    }


def importance_document(found: Importances) -> dict[str, Any]:
    return {"schema": "ser.importance/1", **asdict(found)}


def _answer(prediction: Prediction) -> dict[str, Any]:
    refused = prediction.abstention
    return {
        "emotion": prediction.emotion,
        "confidence": prediction.confidence,
        "abstention": asdict(refused) if refused else None,
    }


def _attributions(explained: Explained) -> dict[str, Any] | None:
    question, functionals = explained.question, explained.functionals
    spectrogram = explained.spectrogram
    if question is None:
        return None
    answer, other = question.emotions
    return {
        "answer": answer,
        "other": other,
        "log_odds": explained.odds,
        "members": [asdict(share) for share in explained.shares],
        "functionals": asdict(functionals) if functionals else None,
        "log_mel": {
            "method": spectrogram.method,
            "regions": [asdict(region) for region in spectrogram.regions()[:REGIONS]],
        }
        if spectrogram
        else None,
    }


def _counterfactuals(explained: Explained) -> dict[str, Any] | None:
    found = explained.counterfactuals
    if found is None:
        return None
    return {
        "mean_f0_hz": found.recorded.voice.mean_f0,
        "resynthesis": _answer(found.resynthesised),
        "dimensions": [_searched(one) for one in found.searched],
    }


def _searched(searched: Searched) -> dict[str, Any]:
    dimension = searched.dimension
    return {
        "name": dimension.name,
        "unit": dimension.unit,
        "least": dimension.least,
        "most": dimension.most,
        "left_out": searched.left_out or None,
        "turns": [
            {
                "amount": turn.amount,
                "change": dimension.said(turn.amount),
                **_answer(turn.prediction),
            }
            for turn in searched.turns
        ],
        "abstains": [{"amount": amount, "reason": reason} for amount, reason in searched.abstained],
        "tried": [{"amount": one.amount, **_answer(one.prediction)} for one in searched.tried],
    }
