"""Why a model answers as it does, in figures and on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.core.utterance.emotions import COLOURS
from ser.explanation import words
from ser.explanation.attribution.importance import ALL, Importances
from ser.explanation.attribution.parts import Question
from ser.explanation.attribution.spectrogram import Spectrogram
from ser.explanation.clip import Explained
from ser.explanation.counterfactual.search import Counterfactuals, Searched, Tried
from ser.params import FeatureParams
from ser.predictor import Prediction
from ser.reporting.canvas import new_figure
from ser.reporting.pages import audio_uri, inline_svg, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Not an emotion's colours: what speaks for the answer, and what for the other emotion.
FOR, AGAINST = "#b35806", "#5b4a9e"
#: Shares are smoothed over so many frames and mels before they are drawn.
SMOOTH = (3.0, 1.5)
#: Shares this small beside the largest are not drawn.
FAINT = 0.12
TICKS_HZ = (250, 500, 1000, 2000, 4000, 8000)
#: Posteriors that stay below this are not drawn along a dimension.
LEAST_DRAWN = 0.1
#: Regions of the log-mel that the page names.
REGIONS = 3


@dataclass(frozen=True)
class Item:
    """A recording of a page: its name, its samples (n_samples,) at `sr` Hz, its explanation."""

    name: str
    y: np.ndarray
    sr: int
    explained: Explained


def explanation_page(
    items: Sequence[Item], *, model: str, features: FeatureParams, to: str | None = None
) -> str:
    """The self-contained page of one or several recordings; model : what answered them."""
    title = items[0].name if len(items) == 1 else f"{len(items)} recordings"
    clips = [_clip(item, features, to) for item in items]
    return render(
        "explain.html", title=f"Why: {title}", model=model, clips=clips, limits=words.LIMITS
    )


def importance_page(found: Importances, *, model: str, described: str) -> str:
    """The self-contained page of importances; described : the set, such as "test split of …"."""
    largest = max((abs(row.drop) for row in found.rows), default=0.0) or 1.0
    tables = {
        title: [
            {
                "name": f"all {title}" if row.group == ALL else row.group,
                "value": row.drop,
                "width": 100 * max(row.drop, 0.0) / largest,
                "interval": row.interval,
            }
            for row in found.rows
            if row.kind == kind
        ]
        for kind, title in (("functionals", "functionals"), ("log_mel", "log-mel bands"))
    }
    return render(
        "importance.html",
        title="What the model rests on",
        model=model,
        described=described,
        found=found,
        tables={title: rows for title, rows in tables.items() if rows},
    )


def overlay(spectrogram: Spectrogram, question: Question) -> Figure:
    """The log-mel in grey, with what speaks for the answer and for the other emotion in colour;
    above, the sums over the bands."""
    from matplotlib.colors import LinearSegmentedColormap
    from scipy.ndimage import gaussian_filter

    answer, other = question.emotions
    figure = new_figure(figsize=(6.4, 3.9), layout="constrained")
    sums, mel = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3.4))
    n_frames, n_mels = spectrogram.log_mel.shape
    start, end = spectrogram.start, spectrogram.start + n_frames * spectrogram.hop
    place: dict[str, Any] = {
        "origin": "lower",
        "aspect": "auto",
        "extent": (start, end, -0.5, n_mels - 0.5),
        "interpolation": "nearest",
    }
    low, high = np.percentile(spectrogram.log_mel, [10, 99.5])
    mel.imshow(spectrogram.log_mel.T, cmap="gray_r", vmin=low, vmax=high, **place)
    smooth = gaussian_filter(spectrogram.values, SMOOTH)
    most = float(np.percentile(np.abs(smooth), 99.5)) or 1.0
    share = np.clip(smooth / most, -1, 1)
    colours = LinearSegmentedColormap.from_list("why", [AGAINST, "#ffffff", FOR])
    drawn = colours((share.T + 1) / 2)
    # Full colour at once, and more of it the larger the share: the log-mel stays visible.
    drawn[..., :3] = colours(np.where(share.T > 0, 1.0, 0.0))[..., :3]
    drawn[..., 3] = np.clip((np.abs(share.T) - FAINT) / (1 - FAINT), 0, 1) * 0.85
    mel.imshow(drawn, **place)
    ticks = [hz for hz in TICKS_HZ if hz < spectrogram.hertz[-1] * 1.05]
    labels = [f"{hz / 1000:g}" for hz in ticks]
    mel.set_yticks(np.interp(ticks, spectrogram.hertz, np.arange(n_mels)), labels)
    mel.set(xlabel="time (s)", ylabel="frequency (kHz)", xlim=(start, end))
    seconds = start + (np.arange(n_frames) + 0.5) * spectrogram.hop
    over_time = gaussian_filter(spectrogram.values.sum(axis=1), SMOOTH[0]) / spectrogram.hop
    for sign, colour, label in ((1, FOR, answer), (-1, AGAINST, other)):
        own = np.clip(sign * over_time, 0, None) * sign
        sums.fill_between(seconds, own, color=colour, linewidth=0, label=f"for {label}")
    sums.axhline(0, color="#8b8f93", linewidth=0.6)
    sums.set_ylabel("log-odds/s", fontsize=8)
    # Above the curve, which reaches the top at its peaks.
    sums.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8, frameon=False, borderpad=0
    )
    for axes in (sums, mel):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def along(searched: Searched, unchanged: Prediction) -> Figure:
    """Posteriors by the amount of change in one dimension, abstentions as crosses.

    unchanged : the answer where nothing is changed: to the resynthesis, or to the recording.
    """
    figure = new_figure(figsize=(3.4, 2.1), layout="constrained")
    axes = figure.subplots()
    tried = [one for one in searched.tried if one.prediction.posteriors]
    tried = sorted([*tried, Tried(0.0, unchanged)], key=lambda one: one.amount)
    amounts = [one.amount for one in tried]
    for emotion in unchanged.posteriors:
        values = [one.prediction.posteriors[emotion] for one in tried]
        if values and max(values) >= LEAST_DRAWN:
            axes.plot(amounts, values, marker="o", markersize=2.5, linewidth=1.4, label=emotion,
                      color=COLOURS[emotion])  # fmt: skip
    refused = [one.amount for one in searched.tried if one.prediction.abstention]
    axes.plot(refused, [0.0] * len(refused), "x", color="#8b8f93", markersize=5, label="_")
    for turn in searched.turns:
        axes.axvline(turn.amount, color="#8b8f93", linewidth=0.8, linestyle="--")
    dimension = searched.dimension
    axes.set(ylim=(-0.03, 1.03), xlabel=f"{dimension.name} ({dimension.unit})")
    axes.set_xlim(min(dimension.least, 0) * 1.04, max(dimension.most, 0) * 1.04 + 1e-9)
    axes.legend(fontsize=7, frameon=False, loc="best", handlelength=1.2)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _clip(item: Item, features: FeatureParams, to: str | None) -> dict[str, Any]:
    """What the template takes of a recording."""
    explained, question = item.explained, item.explained.question
    clip: dict[str, Any] = {
        "name": item.name,
        "answer": words.answered(explained.prediction),
        "emotion": explained.prediction.emotion,
        "candidates": explained.prediction.candidates,
        "audio": audio_uri(item.y, item.sr),
        "asked": "",
        "bars": {},
        "figure": None,
        "regions": [],
        "unusual": words.unusual(explained.distances) if explained.prediction.abstention else "",
        "voice": None,
    }
    if question is None:
        return clip
    clip["emotions"] = question.emotions
    clip["asked"] = words.asked(question, explained.odds)
    clip["bars"] = _bars(explained)
    if spectrogram := explained.spectrogram:
        label = f"Log-mel with what speaks for {' and for '.join(question.emotions)}"
        clip["figure"] = inline_svg(overlay(spectrogram, question), label=label)
        clip["method"] = spectrogram.method
        clip["regions"] = [
            {"where": words.region(one), "value": one.value}
            for one in spectrogram.regions()[:REGIONS]
        ]
    if found := explained.counterfactuals:
        clip["voice"] = _voice(found, explained, features, to)
    return clip


def _bars(explained: Explained) -> dict[str, list[dict[str, Any]]]:
    """Tables of shares: of the members, and of the groups of functionals."""
    members = [(words.member(share), share.odds, "") for share in explained.shares]
    tables = {"Members": members} if len(members) > 1 else {}
    if functionals := explained.functionals:
        tables["Functionals"] = [
            ("average speech", functionals.usual, "what the model says of average training speech"),
            *(
                (group.name, group.value, f"{group.strongest} {group.deviation:+.1f} σ")
                for group in functionals.groups
            ),
        ]
    return {
        title: [
            {"name": name, "value": value, "note": note, "width": 50 * abs(value) / most}
            for name, value, note in rows
        ]
        for title, rows in tables.items()
        for most in [max(abs(value) for _, value, _ in rows) or 1.0]
    }


def _voice(
    found: Counterfactuals, explained: Explained, features: FeatureParams, to: str | None
) -> dict[str, Any]:
    """The changes that turn the answer, with players, and those that do not."""
    before = explained.prediction
    assert before.emotion is not None
    sought = None if to == before.emotion else to
    sr, turns, vain = found.recorded.sr, [], []
    for searched in found.searched:
        for turn in searched.turns:
            text = words.turned(searched, turn, before.emotion)
            audio = audio_uri(turn.y, sr)
            turns.append({"text": text, "emotion": turn.emotion, "audio": audio})
        if not searched.turns:
            vain.append(words.not_turned(searched, before.emotion, sought, features))
    return {
        "resynthesised": words.resynthesised(found, before),
        "audio": audio_uri(found.resynthesis, sr),
        "turns": turns,
        "vain": vain,
        "abstains": [text for one in found.searched for text in words.abstains(one)],
        "figures": [
            inline_svg(
                along(one, found.resynthesised if one.dimension.by_voice else before),
                label=f"Posteriors by {one.dimension.name}",
            )
            for one in found.searched
            if one.tried
        ],
    }
