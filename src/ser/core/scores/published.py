"""Scores that others published, by protocol: UAR unless the row says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedRow:
    """kind : what the system was trained on before; score : in [0, 1], or a range."""

    system: str
    kind: str
    score: str
    note: str = ""


#: What people reach, by corpus, where it is published: for comparison, no bound.
LISTENERS = {
    "ravdess": PublishedRow("human listeners", "people", "0.60–0.67", "whole corpus, accuracy"),
    "cremad": PublishedRow("human listeners", "people", "0.409", "audio alone"),
}

#: By corpus: on whom the defaults of params.yaml were chosen, where that is known.
CHOSEN_ON = {
    "ravdess": "The defaults of params.yaml were designed on the training speakers of "
    "ravdess-luna5's fold 1 ([how](modelling.md)). Every fold's test speakers are unseen by the "
    "models that answer for them; only those of that fold 1 were also unseen by every decision of "
    "design.",
}

PUBLISHED_ROWS: dict[str, tuple[PublishedRow, ...]] = {
    "ravdess-luna5": (
        PublishedRow("MFCC + chroma, residual LSTM, 46.8 k parameters", "from scratch", "0.623"),
        PublishedRow("CNN14 fine-tuned", "AudioSet, labelled", "0.766"),
        PublishedRow("XLSR wav2vec 2.0 fine-tuned", "self-supervised", "0.818", "accuracy"),
        LISTENERS["ravdess"],
    ),
    "ravdess-emobox6": (
        PublishedRow("wav2vec 2.0 base, frozen", "self-supervised", "0.543"),
        PublishedRow("WavLM base, frozen", "self-supervised", "0.616"),
        PublishedRow("HuBERT large, frozen", "self-supervised", "0.700"),
        PublishedRow("WavLM large, frozen", "self-supervised", "0.720"),
        PublishedRow("Whisper large v3 encoder, frozen", "transcribed speech", "0.753"),
        LISTENERS["ravdess"],
    ),
    "emodb-loso": (
        PublishedRow("ComParE 2016 functionals, RBF SVC", "from scratch", "0.771"),
        PublishedRow(
            "wav2vec 2.0 large robust, tuned on MSP-Podcast, frozen, SVC",
            "self-supervised, labelled",
            "0.934",
        ),
    ),
    "cremad-blocks5": (LISTENERS["cremad"],),
}


def listeners(corpora: Sequence[str]) -> PublishedRow | None:
    """What people reach on a corpus; None on several, or where nothing is published."""
    return LISTENERS.get(corpora[0]) if len(corpora) == 1 else None
