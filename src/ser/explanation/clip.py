"""Why a model answers a recording as it does: the answer, what moved it, what would turn it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.features.extract import audible, speech_bounds
from ser.core.utterance.waveform import resample
from ser.errors import ParamsError
from ser.explanation.attribution import functionals as of_functionals
from ser.explanation.attribution import networks
from ser.explanation.attribution.background import average_log_mel, drawn, novelty_shares, space_of
from ser.explanation.attribution.functionals import Attributed
from ser.explanation.attribution.groups import sums
from ser.explanation.attribution.networks import LogMelShares
from ser.explanation.attribution.parts import Part, Question, parts_of
from ser.explanation.attribution.spectrogram import Spectrogram, centres_hz
from ser.explanation.counterfactual.changes import DIMENSIONS, Recorded
from ser.explanation.counterfactual.search import Counterfactuals, search
from ser.explanation.counterfactual.voice import AnalysedVoice
from ser.front_end import Extracted
from ser.predictor import Prediction, Predictor

#: Calls of `on_step` for each recording that is answered.
STEPS = 2 + len(DIMENSIONS)


@dataclass(frozen=True)
class Share:
    """What the members of one name add to the log-odds; usual : what they say of average speech."""

    name: str
    members: int
    odds: float
    usual: float


@dataclass(frozen=True)
class Distance:
    """A group's share in the squared distance to the training speech; times : how many times its
    share in an average training utterance that is."""

    group: str
    share: float
    times: float


@dataclass(frozen=True)
class Explained:
    """All but `prediction` is None or empty where the signal alone was reason to abstain.

    question : why the likeliest emotion rather than the runner-up, or the emotion that was asked
    for. odds : log-odds of the two, natural logarithm. shares : of the members, which add up to
    `odds`. functionals : of all members that take functionals together; spectrogram : of all that
    take log-mels. distances : of the groups, the most unusual first. counterfactuals : None where
    there is no answer to turn.
    """

    prediction: Prediction
    question: Question | None = None
    odds: float = 0.0
    shares: tuple[Share, ...] = ()
    functionals: Attributed | None = None
    spectrogram: Spectrogram | None = None
    distances: tuple[Distance, ...] = ()
    counterfactuals: Counterfactuals | None = None


def explain(
    predictor: Predictor,
    y: np.ndarray,
    *,
    sr: int,
    to: str | None = None,
    on_step: Callable[[], object] = lambda: None,
) -> Explained:
    """Why the predictor answers mono samples y (n_samples,) at `sr` Hz as it does.

    to : the emotion that is compared with, and sought; None: the runner-up, and any. on_step : is
    called up to `STEPS` times. Raises ParamsError where the model does not have `to`, BundleError
    where a part of the model cannot be explained, AudioError as `Predictor.predict`.
    """
    bundle = predictor.bundle
    check_emotion(bundle, to)
    parts = parts_of(bundle)
    taken = predictor.front_end.take(y, sr=sr)
    prediction = predictor.answer([taken])[0]
    if not isinstance(taken, Extracted):
        return Explained(prediction)
    question = _question(prediction, bundle.classes, to)
    by_functionals = _of_functionals(bundle, parts, taken.features.functionals, question)
    on_step()
    by_log_mel = _of_log_mels(bundle, parts, taken.features.log_mel, question)
    on_step()
    shares = _shares([*by_functionals, *by_log_mel])
    explained = Explained(
        prediction,
        question,
        sum(share.odds for share in shares),
        shares,
        of_functionals.together([own for _, own in by_functionals]),
        _spectrogram(bundle, taken.features.log_mel, [own for _, own in by_log_mel], y, sr),
        _distances(bundle, taken.features.functionals),
    )
    if prediction.emotion is None:
        return explained
    sought = None if to == prediction.emotion else to
    recorded = _recorded(bundle, y, sr)
    found = search(predictor, recorded, prediction, to=sought, on_step=on_step)
    return replace(explained, counterfactuals=found)


def check_emotion(bundle: Bundle, emotion: str | None) -> None:
    """Raise ParamsError where the model does not answer with the emotion; None: with any."""
    if emotion is not None and emotion not in bundle.classes:
        raise ParamsError(
            f"{emotion!r} is no answer of this model, which answers with "
            f"{', '.join(bundle.classes)}. Give one of them."
        )


def _question(prediction: Prediction, classes: tuple[str, ...], to: str | None) -> Question:
    answer, second, *_ = sorted(classes, key=lambda emotion: -prediction.posteriors[emotion])
    other = second if to is None or to == answer else to
    return Question(classes.index(answer), classes.index(other), classes)


def _of_functionals(
    bundle: Bundle, parts: Sequence[Part], functionals: pd.Series, question: Question
) -> list[tuple[Part, Attributed]]:
    parts = [part for part in parts if part.takes_functionals]
    if not parts:
        return []
    space = space_of(bundle)
    attribute = partial(of_functionals.attribute, background=drawn(space), scale=space.scale)
    return [(part, attribute(part, functionals, question)) for part in parts]


def _of_log_mels(
    bundle: Bundle, parts: Sequence[Part], log_mel: np.ndarray, question: Question
) -> list[tuple[Part, LogMelShares]]:
    x = log_mel.astype(np.float32)
    baseline = average_log_mel(bundle, x)
    return [
        (part, networks.attribute(part, x, question, baseline=baseline))
        for part in parts
        if not part.takes_functionals
    ]


def _shares(found: Sequence[tuple[Part, Attributed | LogMelShares]]) -> tuple[Share, ...]:
    names = dict.fromkeys(part.name for part, _ in found)
    together = [[own for part, own in found if part.name == name] for name in names]
    shares = [
        Share(name, len(own), sum(one.odds for one in own), sum(one.usual for one in own))
        for name, own in zip(names, together, strict=True)
    ]
    return tuple(sorted(shares, key=lambda share: -abs(share.odds)))


def _spectrogram(
    bundle: Bundle, log_mel: np.ndarray, found: Sequence[LogMelShares], y: np.ndarray, sr: int
) -> Spectrogram | None:
    if not found:
        return None
    params = bundle.features
    start, _ = speech_bounds(audible(y, sr=sr, params=params), params=params)
    return Spectrogram(
        log_mel.astype(np.float32),
        np.sum([own.values for own in found], axis=0),
        start / params.sr,
        params.hop_length / params.sr,
        centres_hz(params, log_mel.shape[1]),
        " and ".join(sorted({own.method for own in found})),
    )


def _distances(bundle: Bundle, functionals: pd.Series) -> tuple[Distance, ...]:
    if bundle.novelty is None:
        return ()
    names = tuple(map(str, functionals.index))
    own, usual = novelty_shares(bundle.novelty.space, functionals.to_numpy(np.float64))
    expected, total = sums(usual, names), float(own.sum())
    found = [
        Distance(group, value / total, value / expected[group])
        for group, value in sums(own, names).items()
    ]
    return tuple(sorted(found, key=lambda distance: -distance.times))


def _recorded(bundle: Bundle, y: np.ndarray, sr: int) -> Recorded:
    params = bundle.features
    at_rate = resample(y, sr_in=sr, sr_out=params.sr)
    voice = AnalysedVoice.of(at_rate, sr=params.sr, f0_min=params.f0_min, f0_max=params.f0_max)
    return Recorded(at_rate, params.sr, voice)
