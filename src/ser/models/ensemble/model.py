"""Several models whose weighted log-posteriors are added up.

The errors of a network and of a classical model differ more than those of two networks. The
weights, one for each kind of member, are those under which dev's emotions are most probable
(logarithmic opinion pool, Heskes 1998).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np
from scipy.special import softmax

from ser.core.speakers.enrolment import Enrolment, OwnEmotions
from ser.core.uncertainty.calibration import LEAST
from ser.models.base import (
    Building,
    EmotionModel,
    Examples,
    Fitting,
    Inputs,
    Loader,
    reading,
    targets_of,
)
from ser.models.ensemble.members import fit_all

CARD_FILE = "ensemble.json"
#: The weights stay below this.
MOST_WEIGHT = 4.0


class Ensemble(EmotionModel):
    """Members, each an `EmotionModel`, behind the interface of one.

    The embedding is the members' side by side, so that one voice serves all of them.
    """

    def __init__(
        self, name: str, members: Sequence[EmotionModel], *, classes: tuple[str, ...]
    ) -> None:
        self.name = name
        self.members = list(members)
        self.names = [member.name for member in members]
        self.classes = classes
        self.kinds = frozenset().union(*(member.kinds for member in members))
        self.epochs = sum(member.epochs for member in members)
        #: By a member's name.
        self.weights: dict[str, float] = {}
        self.widths: list[int] = []

    @classmethod
    def build(cls, building: Building) -> Self:
        # Networks are trained side by side, on one thread each.
        alone = building.machine.model_copy(update={"threads": 1})
        members = [building.build(name, alone) for name in building.params.members]
        return cls(building.name, members, classes=building.classes)

    @property
    def n_parameters(self) -> int:
        return sum(member.n_parameters for member in self.members)

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Fit every member on `train`, networks side by side, and the weights on `dev`.

        Of several networks of one name each is also trained on those of dev's speakers that another
        leaves out: the posteriors for a dev speaker are of a network not trained on that speaker.
        """
        left_out = [
            places_left_out(place, self.names, dev.speaker)
            if member.epochs
            else np.arange(len(dev))
            for place, member in enumerate(self.members)
        ]
        self.members = fit_all(self.members, train, dev, left_out, fitting)
        one = train.inputs.take(np.arange(1))
        self.widths = [member.embed(one).shape[1] for member in self.members]
        self.enrolment = self._joined_enrolment()
        levels = max(len(member.dev_posteriors) for member in self.members)
        answers = np.full((len(self.members), levels, len(dev), len(self.classes)), np.nan)
        for own, member, rows in zip(answers, self.members, left_out, strict=True):
            own[:, rows] = member.dev_posteriors
        logs = self._by_name(answers)
        names = sorted(logs)
        # The last level: with all of a speaker's clips, where members have an enrolment.
        weights = pool_weights(
            np.stack([logs[name][-1] for name in names]), targets_of(dev.emotion, self.classes)
        )
        self.weights = dict(zip(names, map(float, weights), strict=True))
        self.dev_posteriors = self._pooled(logs)
        return self

    def embed(self, inputs: Inputs) -> np.ndarray:
        return np.concatenate([member.embed(inputs) for member in self.members], axis=1)

    def own_emotions(self, embeddings: np.ndarray) -> OwnEmotions:
        parts = zip(self.members, self._parts(embeddings), strict=True)
        return tuple(member.own_emotions(part) for member, part in parts)

    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        notes = own if isinstance(own, tuple) else (None,) * len(self.members)
        parts = zip(self.members, self._parts(embeddings), notes, strict=True)
        return self._pooled(
            self._by_name([member.classify(part, note) for member, part, note in parts])
        )

    def to_files(self) -> dict[str, bytes]:
        """{"ensemble.json"} and each member's files, `2.cnn.model.safetensors` for the second."""
        card = {
            "name": self.name,
            "classes": self.classes,
            "members": self.names,
            "widths": self.widths,
            "weights": self.weights,
        }
        files = {CARD_FILE: json.dumps(card, indent=1).encode()}
        for prefix, member in zip(_prefixes(self.names), self.members, strict=True):
            files |= {f"{prefix}{name}": content for name, content in member.to_files().items()}
        return files

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, load: Loader | None = None) -> Self:
        assert load is not None
        with reading(CARD_FILE):
            card = json.loads(files[CARD_FILE])
            names = card["members"]
            members = []
            for name, prefix in zip(names, _prefixes(names), strict=True):
                own = [key for key in files if key.startswith(prefix)]
                members.append(load(name, {key.removeprefix(prefix): files[key] for key in own}))
            ensemble = cls(card["name"], members, classes=tuple(card["classes"]))
            ensemble.widths = list(map(int, card["widths"]))
            weights = dict(card["weights"])
            ensemble.weights = {name: float(weights[name]) for name in sorted(names)}
        ensemble.enrolment = ensemble._joined_enrolment()
        return ensemble

    def _joined_enrolment(self) -> Enrolment | None:
        parts = [member.enrolment for member in self.members]
        if not any(parts):
            return None
        # A member without one takes its embeddings as they are: no number of clips changes them.
        return Enrolment.joined(
            [
                part or Enrolment(np.zeros(width), np.ones(width), np.full(width, np.inf))
                for part, width in zip(parts, self.widths, strict=True)
            ]
        )

    def _parts(self, embeddings: np.ndarray) -> list[np.ndarray]:
        return np.split(embeddings, np.cumsum(self.widths)[:-1], axis=1)

    def _pooled(self, logs: Mapping[str, np.ndarray]) -> np.ndarray:
        weighted = np.stack([self.weights[name] * log for name, log in logs.items()])
        return np.asarray(softmax(weighted.sum(axis=0), axis=-1))

    def _by_name(self, posteriors: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Log-posteriors (…, n, n_classes), the mean of each name's members; NaN: no answer."""
        logs: dict[str, list[np.ndarray]] = {}
        for name, own in zip(self.names, posteriors, strict=True):
            logs.setdefault(name, []).append(np.log(np.maximum(own, LEAST)))
        return {name: np.nanmean(own, axis=0) for name, own in logs.items()}


def places_left_out(place: int, names: Sequence[str], speaker: np.ndarray) -> np.ndarray:
    """Rows of those of dev's speakers (n,) whom the member at `place` is not trained on.

    Members of its name share the speakers out between them; one that is alone leaves out all.
    """
    alike = [i for i, name in enumerate(names) if name == names[place]]
    speakers = np.unique(speaker)
    parts = np.array_split(speakers, min(len(alike), max(1, len(speakers))))
    return np.flatnonzero(np.isin(speaker, parts[alike.index(place) % len(parts)]))


def pool_weights(logs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Weights (n_kinds,), none below 0, under which target (n,) has the least cross-entropy.

    logs : (n_kinds, n, n_classes). Without examples, all weigh alike.
    """
    alike = np.full(len(logs), 1 / len(logs))
    if len(target) == 0:
        return alike
    true = logs[:, np.arange(len(target)), target]

    # Imported here: serving, which does not need it, starts sooner.
    from scipy.optimize import minimize

    def cross_entropy(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total = np.tensordot(weights, logs, axes=1)
        top = total.max(axis=1)
        partition = top + np.log(np.exp(total - top[:, None]).sum(axis=1))
        expected = (np.exp(total - partition[:, None]) * logs).sum(axis=2)
        value = partition - np.tensordot(weights, true, axes=1)
        return float(value.mean()), (expected - true).mean(axis=1)

    bounds = [(0.0, MOST_WEIGHT)] * len(logs)
    found: np.ndarray = minimize(cross_entropy, alike, jac=True, bounds=bounds, method="L-BFGS-B").x
    return found if found.any() else alike


def _prefixes(names: Sequence[str]) -> list[str]:
    return [f"{place}.{name}." for place, name in enumerate(names, start=1)]
