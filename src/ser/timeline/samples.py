"""Blocks of samples, as a decoder gives them, become channels in blocks of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ser.core.utterance.mixing import InCommon
from ser.errors import CorruptAudio, EmptyAudio
from ser.params.timeline import Channels

#: Parts of a block, of which the envelope has a pair each: a block lasts about a second.
PARTS = 100
#: Channels are compared over the first so many seconds with sound, within so many of the recording.
COMPARED_SECONDS, MOST_SECONDS = 10, 120
#: Amplitude of a block with sound; and how much of the amplitude alike channels may differ by.
SOUND, ALIKE = 1e-3, 0.01
#: A word for people at a terminal and for those who ask over HTTP.
REMEDY = "Ask for one timeline of each channel (channels: each)."
#: Pairs of an envelope, at most.
MOST_PAIRS = 4000


@dataclass(frozen=True)
class Source:
    """Blocks (n_samples, n_channels), float32 within ±1, of the same length but the last.

    is_mix : whether the one channel is the mean of several.
    """

    sr: int
    n_channels: int
    is_mix: bool
    blocks: Iterator[np.ndarray]


def source_of(decoded: Iterable[tuple[np.ndarray, int]], *, channels: Channels) -> Source:
    """A decoder's blocks (n_samples, n_channels), each with the rate, as a `Source`.

    Blocks have one size whatever the decoder's, so that its sizes change no result. Samples beyond
    ±1 are set to it. Raises EmptyAudio without samples, CorruptAudio, at the block concerned,
    where samples are not finite; and as the decoder does.
    """
    given = iter(decoded)
    first, sr = next(given, (np.zeros((0, 1), np.float32), 0))
    if not first.size:
        raise EmptyAudio("holds no samples", "speech", "Leave it out.")
    found = first.shape[1]
    blocks = _cut(chain([first], (block for block, _ in given)), size=block_size(sr))
    begun: list[np.ndarray] = []
    is_mix = channels == "mix" and found > 1
    if channels == "auto" and found > 1:
        is_mix = _are_alike(blocks, begun, sr)
    blocks = chain(begun, blocks)
    if is_mix:
        return Source(sr, 1, True, _mixed(blocks, sr))
    return Source(sr, found, False, blocks)


def block_size(sr: int) -> int:
    """Samples of a block at `sr` Hz."""
    return PARTS * max(1, sr // PARTS)


def _cut(blocks: Iterable[np.ndarray], *, size: int) -> Iterator[np.ndarray]:
    waiting: list[np.ndarray] = []
    n_waiting = 0
    for block in blocks:
        if not np.isfinite(block).all():
            raise CorruptAudio("holds NaN or infinite samples", "finite ones", "Export it again.")
        waiting.append(np.clip(block, -1, 1, dtype=np.float32))
        n_waiting += len(block)
        if n_waiting >= size:
            together = np.concatenate(waiting)
            whole = n_waiting // size * size
            yield from together[:whole].reshape(-1, size, together.shape[1])
            # A copy: of a large block the rest would keep all.
            waiting, n_waiting = [together[whole:].copy()], n_waiting - whole
    if n_waiting:
        yield np.concatenate(waiting)


def _mixed(blocks: Iterable[np.ndarray], sr: int) -> Iterator[np.ndarray]:
    """The mean of the channels; CancellingAudio, at the end, where they cancel each other."""
    in_common = InCommon(sr=sr)
    for block in blocks:
        in_common.add(block)
        yield block.mean(axis=1, dtype=np.float32)[:, None]
    in_common.check(remedy=REMEDY)


def _are_alike(blocks: Iterator[np.ndarray], taken: list[np.ndarray], sr: int) -> bool:
    """Whether channels hold the same; what was read for it is in `taken`."""
    compared = 0
    for block in blocks:
        taken.append(block)
        peak = np.abs(block).max()
        if peak >= SOUND:
            compared += len(block)
            if np.ptp(block, axis=1).max() > ALIKE * peak:
                return False
        if compared >= COMPARED_SECONDS * sr:
            return True
        if sum(map(len, taken)) >= MOST_SECONDS * sr:
            # Hardly a sound yet: who speaks later may be on one channel.
            return False
    return True


class Envelope:
    """The smallest and the largest sample of equal parts of a channel, of any length.

    Where there are more parts than `MOST_PAIRS`, two become one.
    """

    def __init__(self) -> None:
        self._pairs: list[np.ndarray] = []
        #: Samples of a part: those of the first block, since the last may be shorter.
        self._step = 0
        #: Parts of a pair; and pairs of one part that wait until they fill one.
        self._parts, self._waiting = 1, np.zeros((0, 2), np.float32)
        self._n = 0

    def add(self, block: np.ndarray) -> None:
        """The next block (n_samples,) of the size of `block_size`; the last may be shorter."""
        self._step = self._step or max(1, len(block) // PARTS)
        starts = np.arange(0, len(block), self._step)
        pairs = np.stack([np.minimum.reduceat(block, starts), np.maximum.reduceat(block, starts)])
        self._waiting = np.concatenate([self._waiting, pairs.T])
        whole = len(self._waiting) // self._parts * self._parts
        self._take(_merged(self._waiting[:whole], self._parts))
        self._waiting = self._waiting[whole:]

    def pairs(self) -> np.ndarray:
        """(n_pairs, 2) of all that came."""
        rest = _merged(self._waiting, max(1, len(self._waiting)))
        return np.concatenate([np.zeros((0, 2), np.float32), *self._pairs, rest])

    def _take(self, pairs: np.ndarray) -> None:
        self._pairs.append(pairs)
        self._n += len(pairs)
        if self._n > MOST_PAIRS:
            together = np.concatenate(self._pairs)
            whole = len(together) // 2 * 2
            self._pairs = [_merged(together[:whole], 2)]
            # Half a pair waits, as often as it has parts.
            rest = np.repeat(together[whole:], self._parts, axis=0)
            self._waiting = np.concatenate([rest, self._waiting])
            self._parts *= 2
            self._n = len(self._pairs[0])


def _merged(pairs: np.ndarray, n: int) -> np.ndarray:
    """Each `n` pairs as one."""
    if not len(pairs):
        return pairs
    grouped = pairs.reshape(-1, n, 2)
    return np.stack([grouped[:, :, 0].min(axis=1), grouped[:, :, 1].max(axis=1)], axis=1)
