"""What the server answers, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Abstention:
    """Why there is no label. reason : such as "no_speech" or "unsure"; detail : a sentence."""

    reason: str
    detail: str

    @classmethod
    def of(cls, body: Mapping[str, Any] | None) -> Self | None:
        return None if body is None else cls(body["reason"], body["detail"])


@dataclass(frozen=True)
class ModelIdentity:
    """version : in the registry; None for a bundle that was served from a folder."""

    name: str
    version: int | None
    bundle_sha256: str


@dataclass(frozen=True)
class Answer:
    """The perceived emotion of one recording, or why there is none.

    label : None where the model abstains. confidence : posterior of the most probable emotion; None
    where the signal alone was reason to abstain: then posteriors and candidates are empty.
    candidates : the prediction set, likeliest first. novelty : distance from the training speech;
    1 is the limit. enrolled_clips : the speaker's; None where the model has no enrolment. seconds,
    sr : of the recording. ms : the server's time for each step, and in all.
    """

    label: str | None
    confidence: float | None
    posteriors: Mapping[str, float]
    candidates: tuple[str, ...]
    abstention: Abstention | None
    novelty: float | None
    enrolled_clips: int | None
    seconds: float
    sr: int
    model: ModelIdentity
    ms: Mapping[str, float]
    request_id: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """The body of /v1/predict; what a later server adds to it is passed over."""
        model = body["model"]
        return cls(
            label=body["label"],
            confidence=body["confidence"],
            posteriors=dict(body["posteriors"]),
            candidates=tuple(body["candidates"]),
            abstention=Abstention.of(body["abstention"]),
            novelty=body["novelty"],
            enrolled_clips=body["enrolled_clips"],
            seconds=body["audio"]["seconds"],
            sr=body["audio"]["sr"],
            model=ModelIdentity(model["name"], model["version"], model["bundle_sha256"]),
            ms=dict(body["ms"]),
            request_id=body["request_id"],
        )


@dataclass(frozen=True)
class Correction:
    """stored : what the server keeps, "label" and perhaps "audio", and for how long."""

    request_id: str
    stored: tuple[str, ...]
    delete_after_days: int

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        return cls(body["request_id"], tuple(body["stored"]), body["delete_after_days"])
