"""The table of protocols: whose speech is tested in which fold.

Luna-Jiménez et al. 2021 (RAVDESS, five folds); EmoBox, Ma et al. 2024 (RAVDESS, six folds);
actor blocks of CREMA-D; leave one speaker out for EMO-DB and SAVEE; one actress against the
other for TESS; leave one session out for IEMOCAP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ser.params.section import one_of


@dataclass(frozen=True)
class Published:
    """A protocol that was published for one corpus.

    people : whose speakers they are, as in the speaker ids `people/speaker`.
    folds : test speakers of each fold.
    dev : how dev is chosen from the others: speakers drawn, the next fold's test speakers, or
        sentences drawn (train and dev then share a speaker, who is not in test).
    """

    people: str
    folds: tuple[tuple[str, ...], ...]
    dev: Literal["speakers drawn", "next fold", "sentences drawn"] = "speakers drawn"

    def test_speakers(self, fold: int) -> set[str]:
        """Speaker ids of fold `fold`, from 1."""
        return {f"{self.people}/{speaker}" for speaker in self.folds[fold - 1]}

    @property
    def speakers(self) -> set[str]:
        return {f"{self.people}/{speaker}" for fold in self.folds for speaker in fold}


def _actors(*folds: Iterable[int]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(f"{actor:02d}" for actor in fold) for fold in folds)


#: By the value of split.protocol; None: not tied to one corpus.
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
        _actors(
            range(1001, 1019),
            range(1019, 1037),
            range(1037, 1055),
            range(1055, 1073),
            range(1073, 1092),
        ),
        dev="next fold",
    ),
    "emodb-loso": Published("emodb", _actors((3,), *((actor,) for actor in range(8, 17)))),
    "savee-loso": Published("savee", (("DC",), ("JE",), ("JK",), ("KL",))),
    "tess-cross": Published("tess", (("YAF",), ("OAF",)), dev="sentences drawn"),
    "iemocap-leave-one-session-out": Published(
        "iemocap", tuple((f"Ses0{session}F", f"Ses0{session}M") for session in range(1, 6))
    ),
}
PUBLISHED = {name: protocol for name, protocol in PROTOCOLS.items() if protocol}
#: Former names of protocols, which are still taken.
FORMER_NAMES = {"iemocap-loso": "iemocap-leave-one-session-out"}


def known_protocol(name: str) -> str:
    """The protocol's present name; raises pydantic's error if it is unknown."""
    return one_of(PROTOCOLS, FORMER_NAMES.get(name, name))
