"""Speakers into splits, so that each split has near its share of what is said.

Speakers stay whole. Shares are of all utterances, of each corpus, emotion and sex.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser.core.utterance.tables import is_known

#: Seeded packings that compete, and how often each goes over all speakers to better itself.
PACKINGS, PASSES = 4, 6
#: Weights of shares of all utterances, of corpora, emotions and sexes.
WEIGHTS = {"all": 1.0, "corpus": 1.0, "emotion": 0.5, "sex": 0.5}
#: Cost of an emotion that a group lacks, though enough speakers utter it; and of one that would
#: be tested and not trained on.
MISSING, UNTRAINED = 2.0, 100.0
#: Times as much as the one who says least may the one who says most say, for a draw of speakers
#: to be balanced by their number.
EVEN = 1.25
#: What a packing must cost less than a draw, that needs no look at who says how much.
MARGIN = 0.15


class Shares:
    """How far groups of speakers are from the shares that they shall have.

    fractions : of the groups, (n_groups,); they add up to 1.
    rotates : each group is tested once while the others are trained on; else the first is
        trained on.
    """

    def __init__(
        self, manifest: pd.DataFrame, fractions: Sequence[float], *, rotates: bool = False
    ) -> None:
        self.fractions = np.asarray(fractions, dtype=float)
        self.rotates = rotates
        columns: list[np.ndarray] = []
        weights: list[float] = []
        everything = pd.Series("all", index=manifest.index)
        for name, weight in WEIGHTS.items():
            values = everything if name == "all" else manifest[name].astype(str)
            kept = is_known(manifest[name]) if name == "sex" else everything.notna()
            table = pd.crosstab(manifest["speaker"], values.where(kept, ""))
            table = table.drop(columns="", errors="ignore")
            if name == "emotion":
                start = sum(c.shape[1] for c in columns)
                self._emotions = slice(start, start + table.shape[1])
            columns.append(table.to_numpy(float))
            weights += [weight / max(table.shape[1], 1)] * table.shape[1]
            self.speakers = table.index.to_numpy(str)
        self.counts = np.concatenate(columns, axis=1)
        self.total = self.counts.sum(axis=0)
        self._weights = np.array(weights)
        utter = (self.counts[:, self._emotions] > 0).sum(axis=0)
        said = self.counts[:, 0]
        self._even = said.max() <= EVEN * said.min() and manifest["corpus"].nunique() == 1
        # With fewer speakers than groups, some group lacks the emotion.
        self._common, self._shared = utter >= len(self.fractions), utter > 1

    def of(self, group: np.ndarray) -> np.ndarray:
        """Utterances of each group in each column, (n_groups, n_columns).

        group : of each speaker, (n_speakers,).
        """
        member = group == np.arange(len(self.fractions))[:, None]
        return member @ self.counts

    def cost(self, sums: np.ndarray) -> float:
        """0 where each group has its shares; infinite where one is empty."""
        if not (sums[:, 0] > 0).all():
            return float("inf")
        fractions = self.fractions[:, None]
        # As chi-square has it: a small split must not be the one that all others are filled from.
        off = (np.square(sums / self.total - fractions) / fractions).sum(axis=0)
        uttered = sums[:, self._emotions] > 0
        missing = (~uttered & self._common).sum()
        if self.rotates:
            untrained = (self._shared & (uttered.sum(axis=0) == 1)).sum()
        else:
            untrained = (~uttered[0] & uttered[1:].any(axis=0)).sum()
        return float(off @ self._weights + MISSING * missing + UNTRAINED * untrained)

    def settle(self, drawn: Sequence[set[str]], rng: np.random.Generator) -> list[set[str]]:
        """The speakers of each group: as drawn, unless a packing is better by `MARGIN`."""
        group = np.zeros(len(self.speakers), dtype=int)
        for number, speakers in enumerate(drawn):
            group[np.isin(self.speakers, sorted(speakers))] = number
        cost = self.cost(self.of(group))
        if cost > MARGIN and not (self._even and cost < MISSING):
            packed = [self._improved(self._packed(rng), rng) for _ in range(PACKINGS)]
            best = min(packed, key=lambda group: self.cost(self.of(group)))
            if self.cost(self.of(best)) < cost - MARGIN:
                group = best
        return [
            {str(name) for name in self.speakers[group == number]}
            for number in range(len(self.fractions))
        ]

    def _packed(self, rng: np.random.Generator) -> np.ndarray:
        """Who says most comes first, and goes where most is wanting."""
        said = self.counts[:, 0]
        order = np.lexsort((rng.random(len(said)), -said))
        wanting = self.fractions * said.sum()
        group = np.zeros(len(said), dtype=int)
        for speaker in order:
            group[speaker] = wanting.argmax()
            wanting[group[speaker]] -= said[speaker]
        return group

    def _improved(self, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Speakers move, one by one, while that makes the cost lower."""
        sums = self.of(group)
        cost = self.cost(sums)
        for _ in range(PASSES):
            before = cost
            for speaker in rng.permutation(len(group)):
                row = self.counts[speaker]
                for other in range(len(self.fractions)):
                    if other == group[speaker]:
                        continue
                    moved = sums.copy()
                    moved[group[speaker]] -= row
                    moved[other] += row
                    if (lower := self.cost(moved)) < cost - 1e-9:
                        sums, cost, group[speaker] = moved, lower, other
            if cost == before:
                break
        return group
