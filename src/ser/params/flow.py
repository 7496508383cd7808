"""What flows alone read: the gate, the inbox, and the watch over recent answers."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from pydantic import Field, field_validator

from ser.params.section import Section
from ser.params.stress import Family

Share = Annotated[float, Field(ge=0, le=1)]
#: The embedded corpus.
MADE_HERE = "synthetic"
#: What a model that works leaves unchanged on thirty recordings, with room below it.
MIN_UNCHANGED = {
    "small": 0.8,
    "noise": 0.3,
    "room": 0.3,
    "tilt": 0.3,
    "phone": 0.3,
    "codec": 0.5,
    "time": 0.5,
}


class GateParams(Section):
    """What a challenger must reach to become champion. None switches a rule off."""

    #: Held back for the verdict: in data/raw, read by no stage. Empty: the test split decides.
    corpora: tuple[str, ...] = ()
    #: Least share of speaker resamples in which its UAR is at least the champion's.
    min_probability: float = Field(0.5, ge=0, le=1)
    #: With fewer test speakers nothing is promoted over a champion.
    min_speakers: int = Field(3, ge=1)
    #: Of the bootstrap over speakers.
    resamples: int = Field(2000, ge=100)
    #: UAR's 95 % interval lies above chance.
    over_chance: bool = True
    #: Of each emotion; `min_recall_of` has those of single emotions.
    min_recall: Share | None = 0.05
    min_recall_of: dict[str, Share] = Field({})
    #: Of UAR, where two test speakers of each sex are known.
    max_sex_gap: Share | None = 0.25
    max_ece: Share | None = 0.15
    #: Share of the recordings of the stress table that get no emotion.
    max_abstained: Share | None = 0.2
    #: Mean share of answers that stay in a family of the stress table.
    min_unchanged: dict[Family, Share] = MIN_UNCHANGED
    #: Seconds of processor for a second of speech.
    max_rtf: float | None = Field(0.25, gt=0)
    #: Of the bundle.
    max_megabytes: float | None = Field(2000.0, gt=0)

    @field_validator("corpora")
    @classmethod
    def _are_recorded_once(cls, corpora: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(corpora)) < len(corpora):
            raise ValueError("each corpus may be named once")
        if MADE_HERE in corpora:
            raise ValueError(f"{MADE_HERE} is made by the pipeline, for training alone")
        return corpora

    @property
    def sha256(self) -> str:
        """Of all values: by others a verdict may be another one."""
        values = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()


class IntakeParams(Section):
    """New recordings that wait in data/inbox."""

    #: Whether a retraining takes them in.
    enabled: bool = True
    #: A folder that changed since is left for the next time: it may be half copied.
    settle_seconds: float = Field(60.0, ge=0)


class DriftParams(Section):
    """Recent answers against the recordings that the champion was trained on."""

    #: Last answers that are compared, of all and of each way in which they were asked for.
    clips: int = Field(200, ge=50)
    #: Share of such looks at new speakers alone that may be taken for drift.
    false_alarms: float = Field(0.002, gt=0, le=0.1)
    #: Share of answers without an emotion, beyond which it is drift, too.
    max_unanswered: Share = 0.5
    #: Whether drift starts a retraining.
    retrain: bool = True
    #: In which it is told, and starts a retraining, once.
    cooldown_hours: float = Field(24.0, ge=0)
