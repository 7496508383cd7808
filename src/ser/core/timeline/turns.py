"""Windows and their posteriors become turns: stretches of one emotion within speech. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from ser.core.timeline.decoding import smoothed
from ser.core.timeline.segments import Labelled
from ser.core.uncertainty.abstention import Abstention, decide
from ser.params import AbstentionParams
from ser.params.timeline import TimelineParams


@dataclass(frozen=True)
class Windows:
    """Windows of one channel, in order.

    speech : (n,) number of the speech that each is of; start, end : (n,) seconds; posteriors :
    (n, n_classes), each row NaN or summing to 1; abstentions : (n,) why a window has no emotion.
    """

    speech: np.ndarray
    start: np.ndarray
    end: np.ndarray
    posteriors: np.ndarray
    abstentions: tuple[Abstention | None, ...]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Turn:
    """Speech of one emotion, or of none for one reason.

    start, end : seconds. confidence, posteriors : means over the turn's windows, smoothed;
    confidence None where the model abstains.
    """

    start: float
    end: float
    emotion: str | None
    confidence: float | None
    posteriors: dict[str, float] = field(default_factory=dict)
    abstention: Abstention | None = None

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def segment(self) -> Labelled:
        return Labelled(self.start, self.end, self.emotion)


def smoothed_windows(windows: Windows, params: TimelineParams) -> Windows:
    """The windows with each one's posteriors in the light of the others'; see `smoothed`."""
    if not len(windows):
        return windows
    # What a window adds to the one before it in the same speech.
    new = windows.end - windows.start
    follows = windows.speech[1:] == windows.speech[:-1]
    shift = windows.end[1:] - windows.end[:-1]
    share = np.ones(len(windows))
    share[1:][follows] = np.minimum(1.0, shift[follows] / new[1:][follows])
    # The first of several overlapping windows is no surer than the others.
    first = np.flatnonzero(np.append(follows, False) & ~np.append(False, follows))
    share[first] = np.minimum(share[first], share[first + 1])
    silence = np.maximum(windows.start[1:] - windows.end[:-1], 0.0)
    middle = (windows.start + windows.end) / 2
    spoken = np.maximum(np.diff(middle) - silence, 0.0)
    posteriors = smoothed(
        windows.posteriors,
        stays=np.exp(-spoken / params.stay_seconds - silence / params.stay_silence_seconds),
        weight=params.evidence * share,
    )
    return replace(windows, posteriors=posteriors)


def turns_of(
    windows: Windows,
    speech: Sequence[Labelled],
    *,
    classes: Sequence[str],
    abstention: AbstentionParams,
) -> tuple[Turn, ...]:
    """Turns in order, which together are the speech.

    windows : smoothed. speech : by number. A window speaks for the time that lies nearer to its
    middle than to another one's of the same speech. Neighbours of one emotion are one turn; a
    smoothed posterior below `min_confidence` is unsure.
    """
    turns: list[Turn] = []
    for number, rows in groupby(range(len(windows)), key=lambda i: int(windows.speech[i])):
        places = list(rows)
        own = speech[number]
        middle = (windows.start[places] + windows.end[places]) / 2
        edges = [own.start, *((middle[1:] + middle[:-1]) / 2).tolist(), own.end]
        told = [_told(windows, i, classes, abstention) for i in places]
        for (emotion, _), group in groupby(range(len(places)), key=lambda i: _key(told[i])):
            part = list(group)
            start, end = edges[part[0]], edges[part[-1] + 1]
            turns.append(_turn(windows, [places[i] for i in part], start, end, emotion, classes))
            if emotion is None:
                turns[-1] = replace(turns[-1], abstention=told[part[0]][1])
    return tuple(turns)


Told = tuple[str | None, Abstention | None]


def _told(
    windows: Windows, place: int, classes: Sequence[str], abstention: AbstentionParams
) -> Told:
    """The emotion of a window, or why there is none."""
    own = windows.posteriors[place]
    refused = windows.abstentions[place] or decide(abstention, confidence=float(own.max()))
    return (None, refused) if refused else (classes[int(own.argmax())], None)


def _key(told: Told) -> tuple[str | None, str | None]:
    emotion, refused = told
    return emotion, refused.reason if refused else None


def _turn(
    windows: Windows,
    places: list[int],
    start: float,
    end: float,
    emotion: str | None,
    classes: Sequence[str],
) -> Turn:
    mean = windows.posteriors[places].mean(axis=0)
    posteriors = dict(zip(classes, map(float, mean), strict=True))
    confidence = None if emotion is None else posteriors[emotion]
    return Turn(start, end, emotion, confidence, posteriors)
