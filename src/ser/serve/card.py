"""What a client and a listener should know of the model that serves."""

from __future__ import annotations

from typing import Any

from ser.io.tracking.registry.versions import MODEL
from ser.params.server import ServeParams
from ser.params.serving import StreamParams
from ser.serve.workers.generation import Served

INTENDED_USE = [
    "Study of speech, and of models of it.",
    "Adapting how a machine answers, with the consent of the person who speaks.",
]
PROHIBITED_USE = [
    "Inferring emotions at work or in education: EU AI Act, Article 5(1)(f), outside medical and "
    "safety reasons. Employees of a call centre are covered.",
    "Ranking, selecting or disciplining persons.",
    "Use without telling the people exposed: EU AI Act, Article 50(3).",
]
LIMITS = [
    "It recognises perceived expression in acted speech, not what a person feels.",
    "Scores differ by sex, language, age and recording: measure on your own people first.",
    "Where it is unsure, or the speech is unlike its training, it abstains.",
]
#: Of a version's tags, what says how it was made.
LINEAGE_TAGS = ("git_revision", "dvc_lock_sha256")


def card_of(served: Served, params: ServeParams) -> dict[str, Any]:
    """The body of /v1/model."""
    card = served.facts["card"]
    return {
        "model": {
            "name": MODEL,
            "version": served.version,
            "bundle_sha256": served.bundle_sha256,
        },
        "architecture": served.facts["architecture"],
        "emotions": served.classes,
        "takes_enrolment": served.takes_enrolment,
        "intended_use": INTENDED_USE,
        "prohibited_use": PROHIBITED_USE,
        "limits": LIMITS,
        "stream": StreamParams().model_dump(),
        "scores": {
            "protocol": card.get("protocol"),
            "fold": card.get("fold"),
            "dev_uar": card.get("dev_uar"),
            "chance": round(1 / len(served.classes), 4),
            "verdict": served.tags.get("verdict_reason"),
        },
        "lineage": {
            "corpora": card.get("corpora"),
            "split_sha256": card.get("split_sha256"),
            "train_utterances": card.get("train_utterances"),
            "train_speakers": len(card.get("train_speakers", ())),
            **{name: value for name, value in served.tags.items() if name in LINEAGE_TAGS},
        },
        "corrections": {
            "enabled": params.inbox.enabled,
            "delete_after_days": params.inbox.days,
        },
    }
