"""Splits by speakers that come near the shares of utterances that were asked for.

Shares are of all utterances, and of those of each corpus, emotion and sex.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser.core.utterance.tables import is_known

#: Seeded packings that compete, and how often each is improved by moving speakers.
PACKINGS, PASSES = 4, 6
#: Weights of shares of all utterances, of corpora, emotions and sexes.
WEIGHTS = {"all": 1.0, "corpus": 1.0, "emotion": 0.5, "sex": 0.5}
#: Cost of an emotion that a group lacks though enough speakers utter it, and of one that is tested
#: but not trained on.
MISSING, UNTRAINED = 2.0, 100.0
#: Largest ratio of utterances between two speakers at which their number alone balances a draw.
EVEN = 1.25
#: How much less than a draw a packing must cost to replace it.
MARGIN = 0.15


class Shares:
    """How far groups of speakers are from their shares.

    fractions : share of each group, (n_groups,); they add up to 1.
    rotates : each group is tested once while the others are trained on; else the first one is
        trained on.
    """

    def __init__(
        self, manifest: pd.DataFrame, fractions: Sequence[float], *, rotates: bool = False
    ) -> None:
        self.fractions = np.asarray(fractions, dtype=float)
        self.rotates = rotates
        known_sex = manifest["sex"].where(is_known(manifest["sex"]))
        labels = manifest.assign(all="all", sex=known_sex)
        tables = {name: pd.crosstab(manifest["speaker"], labels[name]) for name in WEIGHTS}
        self.speakers = tables["all"].index.to_numpy(str)
        # Speakers of unknown sex are no row of that table.
        tables["sex"] = tables["sex"].reindex(tables["all"].index, fill_value=0)
        self.counts = np.concatenate([table.to_numpy(float) for table in tables.values()], axis=1)
        self.total = self.counts.sum(axis=0)
        widths = {name: table.shape[1] for name, table in tables.items()}
        self._weights = np.concatenate(
            [np.full(n, WEIGHTS[name] / max(n, 1)) for name, n in widths.items()]
        )
        start = 1 + widths["corpus"]
        self._emotions = slice(start, start + widths["emotion"])
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
        """0 where each group has its shares; infinite where one is empty.

        sums : as `of` returns.
        """
        if not (sums[:, 0] > 0).all():
            return float("inf")
        fractions = self.fractions[:, None]
        # Relative to the share, as in chi-square: else the smallest split would bear it all.
        off = (np.square(sums / self.total - fractions) / fractions).sum(axis=0)
        uttered = sums[:, self._emotions] > 0
        missing = (~uttered & self._common).sum()
        if self.rotates:
            untrained = (self._shared & (uttered.sum(axis=0) == 1)).sum()
        else:
            untrained = (~uttered[0] & uttered[1:].any(axis=0)).sum()
        return float(off @ self._weights + MISSING * missing + UNTRAINED * untrained)

    def settle(self, drawn: Sequence[set[str]], rng: np.random.Generator) -> list[set[str]]:
        """The speakers of each group: as drawn, unless a packing costs `MARGIN` less."""
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
        """A group for each speaker: those who say most first, each where most is missing."""
        said = self.counts[:, 0]
        order = np.lexsort((rng.random(len(said)), -said))
        missing = self.fractions * said.sum()
        group = np.zeros(len(said), dtype=int)
        for speaker in order:
            group[speaker] = missing.argmax()
            missing[group[speaker]] -= said[speaker]
        return group

    def _improved(self, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`group` with speakers moved, one by one, as long as the cost falls."""
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
