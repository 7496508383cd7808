"""The page of a run, and its model card."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.core.scores import metrics
from ser.core.scores.analysis import analysis
from ser.corpora.published.ravdess import RAVDESS
from ser.reporting.card import Made, card_markdown
from ser.reporting.model_report import Other, Player, Report, report_html

NASTY = "<script>alert('x')</script>"
AUDIT = {
    "split_sha256": "s" * 64,
    "shared_speakers": 0,
    "copies_across_splits": 0,
    "sentence_overlap": 1.0,
    "sentence_unknown": 0.0,
    "left_out": {},
}
PROTOCOL = {
    "corpora": ["ravdess"],
    "name": "ravdess-luna5",
    "fold": 1,
    "normalisation": "plain",
    "audit": AUDIT,
}
STRESS: dict[str, Any] = {
    "schema": "ser.stress/1",
    "utterances": 120,
    "speakers": 5,
    "chance": 0.5,
    "uar_clean": 0.7,
    "seed": 7,
    "rows": [
        {
            "family": "noise",
            "name": "white 20 dB",
            "uar": 0.6,
            "delta": -0.1,
            "uar_ci95": [0.5, 0.7],
            "uar_answered": 0.65,
            "answered": 0.9,
            "unchanged": 0.8,
            "limits": {"delta": -0.05, "unchanged": 0.9},
            "passed": False,
        },
        {
            "family": "rooms",
            "name": "RT60 0.5 s",
            "uar": 0.68,
            "delta": -0.02,
            "uar_ci95": None,
            "uar_answered": None,
            "answered": 0.0,
            "unchanged": 0.9,
            "limits": {},
            "passed": True,
        },
    ],
    "left_out": [{"family": "codec", "name": "AMR", "lacks": "PyAV"}],
    "fairness": [
        {"name": "pitch", "groups": {}, "gap": None, "limit": 0.075, "passed": None},
        {
            "name": "sex",
            "groups": {"female": 0.9, "male": 0.8},
            "gap": 0.1,
            "limit": 0.075,
            "passed": False,
        },
    ],
}


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers for six speakers, and their folds; the third speaker is never understood."""
    rng = np.random.default_rng(3)
    n = 6 * 24
    emotion = np.tile(["anger", "fear"], n // 2)
    right = np.where(np.arange(n) // 24 == 2, 0.1, 0.8)
    p_anger = np.where((emotion == "anger") == (rng.random(n) < right), 0.9, 0.2)
    table = pd.DataFrame(
        {
            "corpus": "ravdess",
            "file": [f"data/raw/ravdess/{i:03d} <i>ä.wav" for i in range(n)],
            "start": 0.0,
            "end": 3.0,
            "speaker": [f"ravdess/{i // 24:02d}" for i in range(n)],
            "sex": np.where(np.arange(n) // 24 % 2, "male", "female"),
            "split": "test",
            "emotion": emotion,
            "predicted": np.where(p_anger > 0.5, "anger", "fear"),
            "p_anger": p_anger,
            "p_fear": 1 - p_anger,
            "covered": True,
            "candidates": 2,
        }
    )
    folds = table[["file", "start", "end"]].assign(
        sha256="0" * 64, whole=True, intensity="strong", sentence="dogs", duration=3.0
    )
    return table, folds


def report(**options: Any) -> Report:
    table, folds = tables()
    scores = {
        **metrics.scores(table, resamples=200, seed=7),
        "coverage": 1.0,
        "coverage_asked": 0.9,
        "set_size": 2.0,
    }
    found = analysis({"test": table, "dev": table}, folds, resamples=200, seed=7, errors=3)
    silent = [Player(why="the recording is not on this machine.")] * len(found["mistakes"])
    given = {
        "name": "lda · ravdess · luna5 1",
        "scores": {"test": scores, "dev": scores},
        "protocol": PROTOCOL,
        "analysis": found,
        "confusion": metrics.confusion(table),
        "players": silent,
        **options,
    }
    return Report(**given)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def text_of(made: Report) -> str:
    return Page(report_html(made)).text


def test_every_score_stands_on_the_page_with_its_interval() -> None:
    made = report()
    text, test = text_of(made), made.scores["test"]
    low, high = test["uar_ci95"]
    assert f"UAR {test['uar']:.3f} 95 % {low:.3f} to {high:.3f}, chance 0.500" in text
    assert "Human listeners: 0.60–0.67" in text
    for name in ("accuracy", "precision_macro", "f1_macro", "ece", "coverage"):
        low, high = made.analysis["intervals"]["test"][name]
        assert f"{test[name]:.3f} {low:.3f} to {high:.3f}" in text
    for emotion, values in test["per_class"].items():
        assert f"{emotion} {values['recall']:.3f}" in text


def test_whom_the_model_does_not_understand_is_said() -> None:
    text = text_of(report())
    assert re.search(r"ravdess/02 0\.\d+ 0\.\d+ to 0\.\d+ 0?\D*24 2 below all", text)
    assert "dashed line: all utterances" in text


def test_the_page_says_what_differs_and_what_became_of_the_model() -> None:
    text = text_of(
        report(
            others=[
                Other("champion then", "svc", {"model.name": ("svc", "lda")}, uar=0.25),
                Other("the run before", "cnn", {}),
            ],
            verdict=("Version 3: kept out", "Worse: UAR 0.712 → 0.698."),
            stress=STRESS,
            lineage=[("Seed", "7")],
        )
    )
    assert "Champion then: svc, UAR 0.250: +" in text
    assert "another split: scores do not compare" in text
    assert "Version 3: kept out. Worse: UAR" in text
    assert "Not judged" not in text
    assert "1 of 2 rows and 0 of 1 gap with a limit pass" in text
    assert "white 20 dB 0.600 0.500 to 0.700 -0.100 ≥ -0.05 80 % ≥ 90 %" in text
    assert "Seed 7" in text


def test_what_was_not_recorded_is_said_and_no_error() -> None:
    text = text_of(report(analysis={}, confusion=None, players=()))
    assert "this run is of an older release" in text
    assert "Not measured for this run." in text
    assert "Not judged" in text
    assert "There was no champion and no run before." in text


def test_nothing_in_it_is_markup_and_nothing_comes_from_elsewhere() -> None:
    html = report_html(
        report(
            name=NASTY,
            others=[Other(NASTY, NASTY, {NASTY: (NASTY, NASTY)})],
            verdict=(NASTY, NASTY),
            lineage=[(NASTY, NASTY)],
            panels=b"png",
        )
    )
    page = Page(html)
    assert page.tags.count("script") == 1, "the scaffold's own"
    assert NASTY.replace("'", "&#39;") not in html
    linked = re.findall(r"""(?:src|href|action)=["']([^"'#][^"']*)""", html)
    assert {address.split(":")[0] for address in linked} <= {"data"}
    assert not re.search(r"url\((?!#)|@import", html)
    assert "default-src &#39;none&#39;" in html


def test_a_single_speaker_and_right_answers_alone_make_a_page() -> None:
    table, folds = tables()
    one = table[table["speaker"] == "ravdess/00"].assign(predicted=lambda t: t["emotion"])
    scores = {**metrics.scores(one, resamples=200, seed=7), "coverage": 1.0, "set_size": 2.0}
    found = analysis({"test": one}, folds, resamples=200, seed=7, errors=3)
    text = text_of(
        report(scores={"test": scores, "dev": scores}, analysis=found, players=(), confusion=None)
    )
    assert "there is no interval over speakers" in text
    assert "None is listed" in text


def card(**options: Any) -> str:
    made = Made(
        model="lda",
        classes=("anger", "fear"),
        corpora=[RAVDESS],
        card={"train_speakers": ["ravdess/07"], "train_utterances": 60},
        parameters=12_345,
        seconds=4.0,
        processor="A processor",
        run_id="f" * 32,
        bundle_sha256="b" * 64,
    )
    page = report()
    given = {"stress": None, "made": made, **options}
    return card_markdown(given["made"], page.scores, page.protocol, page.analysis, given["stress"])


def test_the_hub_reads_the_card_and_finds_its_scores() -> None:
    hub = pytest.importorskip("huggingface_hub")
    read = hub.ModelCard(card())
    (uar,) = [r for r in read.data.eval_results if r.metric_type == "recall"]
    assert uar.metric_value == round(report().scores["test"]["uar"], 4)
    assert uar.dataset_type == "ravdess"
    assert read.data.license == "unknown"
    assert read.data.language == ["en"]
    assert read.data.pipeline_tag == "audio-classification"


def test_the_card_has_the_hub_s_sections_use_limits_and_what_is_prohibited() -> None:
    text = card(stress=STRESS)
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert titles == [
        "Model Details",
        "Intended Use",
        "Out-of-Scope and Prohibited Use",
        "Bias, Risks and Limitations",
        "Training Data",
        "Evaluation",
        "Environmental Impact",
        "How to Use",
        "Citation",
    ]
    assert "Article 5(1)(f)" in text
    assert "perceived expression in acted speech" in text
    assert "with its whole interval: speaker ravdess/02" in text
    assert "Fails noise, white 20 dB: UAR 0.600 (-0.100)" in text
    assert "UAR gap by sex 0.100, above the limit 0.075" in text
    assert "CC BY-NC-SA 4.0" in text
    assert "Human listeners, published: 0.60–0.67" in text


def test_what_the_card_does_not_know_is_unknown() -> None:
    text = card(made=Made(model="lda", classes=("anger", "fear"), corpora=[]))
    assert "**Parameters:** unknown" in text
    assert "The time of the training is unknown, on an unknown processor." in text
    assert "The training utterances are unknown." in text
    assert "language:" not in text.split("---")[1]
