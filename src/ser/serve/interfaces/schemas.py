"""What the server answers, as OpenAPI states it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ser.core.uncertainty.abstention import Reason


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelIdentity(Answer):
    name: str = Field(examples=["emotion-recognition"])
    version: int | None = Field(description="In the registry; null for a bundle from a folder.")
    bundle_sha256: str


class AbstentionAnswer(Answer):
    reason: Reason
    detail: str


class AudioFacts(Answer):
    seconds: float
    sr: int = Field(description="Samples a second, as decoded.")


class Timings(Answer):
    """Milliseconds: waiting for a worker, decoding, features, model, and all together."""

    queue: float
    decode: float
    features: float
    model: float
    total: float


class PredictionAnswer(Answer):
    """The perceived emotion of one recording, or why there is none."""

    label: str | None = Field(description="Null where the model abstains.")
    confidence: float | None = Field(description="Posterior of the most probable emotion.")
    posteriors: dict[str, float] = Field(description="Calibrated; empty where none was made.")
    candidates: list[str] = Field(description="Holds the true emotion as often as asked.")
    abstention: AbstentionAnswer | None
    novelty: float | None = Field(description="Distance from the training speech; 1 is the limit.")
    enrolled_clips: int | None
    audio: AudioFacts
    model: ModelIdentity
    ms: Timings
    request_id: str


class EnrolmentAnswer(Answer):
    """profile : opaque; send it with predictions of the same speaker. Nothing of it is stored."""

    profile: str
    clips: int = Field(description="How many of the clips the profile is made of.")
    left_out: list[str] = Field(description="Why the other clips are not in it.")
    expires_seconds: int
    request_id: str


class CorrectionAnswer(Answer):
    request_id: str = Field(description="Of the prediction; DELETE by it.")
    stored: list[str] = Field(description="What is kept: label, audio.")
    delete_after_days: int


class Deleted(Answer):
    deleted: bool


class Health(Answer):
    status: Literal["live", "ready", "waiting", "stopping"]
    detail: str | None = None
    model: ModelIdentity | None = None


class ModelCard(Answer):
    """What serves, what it was made of, how good it is, and what it is for."""

    model: ModelIdentity
    architecture: str
    emotions: list[str]
    takes_enrolment: bool
    intended_use: list[str]
    prohibited_use: list[str]
    limits: list[str]
    stream: dict[str, Any] = Field(description="Defaults of a session of /v1/stream.")
    scores: dict[str, Any] = Field(description="Of the test or dev speakers, with the protocol.")
    lineage: dict[str, Any] = Field(description="Corpora, split, revision, hashes.")
    corrections: dict[str, Any]


class ErrorAnswer(Answer):
    type: str
    code: str
    message: str
    request_id: str
