"""The table of protocols: whose speech is tested in which fold.

Luna-Jiménez et al. 2021 (RAVDESS, five folds); EmoBox, Ma et al. 2024 (RAVDESS, six folds);
actor blocks of CREMA-D; leave one speaker out for EMO-DB and SAVEE; one actress against the
other for TESS; leave one session out for IEMOCAP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic_core import PydanticCustomError


@dataclass(frozen=True)
class Published:
    """people : whose speakers they are, as in the speaker ids `people/speaker`.

    folds : test speakers of each fold.
    dev : how dev is chosen from the others: speakers drawn, the next fold's test speakers, or
        sentences drawn (train and dev then share their speaker, who is apart from test).
    """

    people: str
    folds: tuple[tuple[str, ...], ...]
    dev: Literal["speakers drawn", "next fold", "sentences drawn"] = "speakers drawn"

    def test_speakers(self, fold: int) -> set[str]:
        """Speaker ids of fold `fold`, from 1."""
        return {f"{self.people}/{speaker}" for speaker in self.folds[fold - 1]}

    def dev_speakers(self, fold: int) -> set[str]:
        return self.test_speakers(fold % len(self.folds) + 1)

    @property
    def speakers(self) -> set[str]:
        return {f"{self.people}/{speaker}" for fold in self.folds for speaker in fold}


def _actors(*folds: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(f"{actor:02d}" for actor in fold) for fold in folds)


def _each_alone(*speakers: str) -> tuple[tuple[str, ...], ...]:
    return tuple((speaker,) for speaker in speakers)


#: A value of split.protocol, and its speakers where it was published for one corpus.
PROTOCOLS: dict[str, Published | None] = {
    "holdout": None,
    "grouped-kfold": None,
    "leave-one-speaker-out": None,
    "ravdess-luna5": Published(
        "ravdess",
        _actors(
            (2, 5, 14, 15, 16),
            (3, 6, 7, 13, 18),
            (10, 11, 12, 19, 20),
            (8, 17, 21, 23, 24),
            (1, 4, 9, 22),
        ),
    ),
    "ravdess-emobox6": Published(
        "ravdess",
        _actors(
            (1, 11, 20, 21),
            (4, 10, 12, 14),
            (8, 9, 19, 23),
            (3, 5, 7, 24),
            (2, 15, 16, 18),
            (6, 13, 17, 22),
        ),
    ),
    "cremad-blocks5": Published(
        "cremad",
        tuple(
            tuple(str(actor) for actor in range(first, last + 1))
            for first, last in (
                (1001, 1018),
                (1019, 1036),
                (1037, 1054),
                (1055, 1072),
                (1073, 1091),
            )
        ),
        dev="next fold",
    ),
    "emodb-loso": Published(
        "emodb", _each_alone("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
    ),
    "savee-loso": Published("savee", _each_alone("DC", "JE", "JK", "KL")),
    "tess-cross": Published("tess", _each_alone("YAF", "OAF"), dev="sentences drawn"),
    "iemocap-leave-one-session-out": Published(
        "iemocap", tuple((f"Ses0{session}F", f"Ses0{session}M") for session in range(1, 6))
    ),
}
PUBLISHED = {name: protocol for name, protocol in PROTOCOLS.items() if protocol}
#: What a protocol was called before: each is still taken.
FORMER_NAMES = {"iemocap-loso": "iemocap-leave-one-session-out"}


def known_protocol(name: str) -> str:
    """The protocol's name today; raises pydantic's error on one that the table lacks."""
    name = FORMER_NAMES.get(name, name)
    if name not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise PydanticCustomError("protocol", "expected one of {known}", {"known": known})
    return name
