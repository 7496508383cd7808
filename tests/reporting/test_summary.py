"""The page of a run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from ser.reporting.summary import Other, summary_html

SPLIT: dict[str, Any] = {
    **dict.fromkeys(
        ("uar", "accuracy", "precision_macro", "f1_macro", "ece", "coverage", "set_size"), 0.75
    ),
    "uar_ci95": [0.7, 0.8],
    "chance": 0.5,
    "emotions": 2,
    "emotions_missing": [],
    "utterances": 8,
    "speakers": 2,
    "per_class": {"anger": {"recall": 0.5}, "fear": {"recall": 1.0}},
    "uar_by_sex": {"female": 0.6},
    "uar_by_corpus": {},
}
PROTOCOL = {
    "corpora": ["own<b>"],
    "name": "holdout",
    "fold": 1,
    "normalisation": "plain",
    "audit": {
        "split_sha256": "s" * 64,
        "shared_speakers": 0,
        "copies_across_splits": 0,
        "sentence_overlap": 1.0,
        "sentence_unknown": 0.0,
    },
}
NASTY = "<script>alert('x')</script>"


def page(**options: Any) -> str:
    return summary_html(NASTY, scores={"test": SPLIT, "dev": SPLIT}, protocol=PROTOCOL, **options)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def test_the_page_says_how_good_it_is_and_what_differs() -> None:
    text = page(
        others=[
            Other("champion then", "lda", {"model.name": ("lda", "svc")}, uar=0.5),
            Other("the run before", "cnn", {}),
        ]
    )
    assert "UAR 0.750" in text
    assert "chance 0.500" in text
    assert "Champion then: lda, UAR 0.500: <b>+0.250</b>" in text
    assert "another split: scores do not compare" in text
    assert "<b>svc</b>" in text


def test_nothing_in_it_is_markup_and_nothing_comes_from_elsewhere() -> None:
    text = page(
        others=[Other(NASTY, NASTY, {NASTY: (NASTY, NASTY)})],
        facts={NASTY: NASTY},
        figures={NASTY: b"png"},
    )
    assert "script" not in Tags(text).seen
    # That of a changed parameter, and none of the corpus.
    assert Tags(text).seen.count("b") == 1
    assert not re.search(r"https?:|//|@import", text)
    assert "data:image/png;base64," in text
