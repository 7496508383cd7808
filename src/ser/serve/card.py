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
#: Of a bundle's card, what says of what the model was made.
LINEAGE = ("corpora", "protocol", "fold", "manifest_sha256", "split_sha256", "labels", "seed")


def card_of(served: Served, params: ServeParams) -> dict[str, Any]:
    """The body of /v1/model."""
    card = served.card
    return {
        "model": {
            "name": MODEL,
            "version": served.version,
            "bundle_sha256": served.bundle_sha256,
        },
        "architecture": card.get("architecture", ""),
        "emotions": list(served.classes),
        "takes_enrolment": served.takes_enrolment,
        "intended_use": INTENDED_USE,
        "prohibited_use": PROHIBITED_USE,
        "limits": LIMITS,
        "stream": StreamParams().model_dump(),
        "scores": card.get("scores", {}),
        "lineage": card.get("lineage", {}),
        "corrections": {
            "enabled": params.inbox.enabled,
            "delete_after_days": params.inbox.days,
        },
    }
