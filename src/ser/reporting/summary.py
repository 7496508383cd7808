"""One run in one page of HTML: scores, what differs, figures, facts. Pure, and self-contained."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ser.core.scores.metrics import audit_text, emotions_text, interval_text
from ser.output import count_of

STYLE = """
:root { color-scheme: light dark; --quiet: #667; --line: #8884; --bar: #3b6fb6; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1.2em; max-width: 62em;
  background: Canvas; color: CanvasText; }
h1 { font-size: 1.25em; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05em; margin: 1.6em 0 .4em; }
p { margin: .3em 0; } .quiet { color: var(--quiet); }
@media (prefers-color-scheme: dark) { :root { --quiet: #aab; --bar: #7aa7e6; } }
.lead { font-size: 2.1em; font-weight: 650; } .lead small { font-size: .45em; font-weight: 400; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25em .8em .25em 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; } td.n { font-variant-numeric: tabular-nums; }
meter { width: 8em; height: .8em; vertical-align: middle; }
figure { margin: 1em 0; } img { max-width: 100%; background: white; border-radius: 4px; }
"""
SCORES = {
    "uar": "UAR",
    "accuracy": "Accuracy",
    "precision_macro": "Macro precision",
    "f1_macro": "Macro F1",
    "ece": "Calibration error (ECE)",
    "coverage": "Coverage of prediction sets",
    "set_size": "Size of prediction sets",
    "chance": "Chance",
}


@dataclass(frozen=True)
class Other:
    """A run to compare with. role : "champion then", "the run before".

    changes : parameter -> its value there and here. uar : on the same split; None where it is not.
    """

    role: str
    name: str
    changes: Mapping[str, tuple[str, str]]
    uar: float | None = None


def summary_html(
    name: str,
    *,
    scores: Mapping[str, Mapping[str, Any]],
    protocol: Mapping[str, Any],
    others: Sequence[Other] = (),
    facts: Mapping[str, str] | None = None,
    figures: Mapping[str, bytes] | None = None,
) -> str:
    """The page of one run.

    scores, protocol : as in reports/metrics.json. facts : what the model was made of.
    figures : PNG by title.
    """
    test = scores["test"]
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(name)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(name)}</h1>",
            _lead(test),
            *(_compared(other, test) for other in others),
            f'<p class="quiet">{escape(_protocol(test, protocol))}</p>',
            *(_changes(other) for other in others),
            "<h2>Scores</h2>",
            _table(["", "test", "dev"], _score_rows(test, scores["dev"])),
            "<h2>Recall by emotion, and UAR by group</h2>",
            _table(["", "test", "dev"], _group_rows(test, scores["dev"])),
            *(_figure(title, png) for title, png in (figures or {}).items()),
            "<h2>Made of</h2>",
            _table([], [(key, escape(value)) for key, value in (facts or {}).items()]),
            "</body></html>\n",
        ]
    )


def _lead(test: Mapping[str, Any]) -> str:
    between = interval_text(test["uar_ci95"]) or "(one speaker: no interval)"
    return (
        f'<p class="lead">UAR {test["uar"]:.3f} <small>95 % {escape(between)}, '
        f"chance {test['chance']:.3f}</small></p>"
    )


def _compared(other: Other, test: Mapping[str, Any]) -> str:
    words = f"{escape(other.role.capitalize())}: {escape(other.name)}"
    if other.uar is None:
        return f"<p>{words} <span class='quiet'>(another split: scores do not compare)</span></p>"
    return f"<p>{words}, UAR {other.uar:.3f}: <b>{test['uar'] - other.uar:+.3f}</b></p>"


def _protocol(test: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    return (
        f"{'+'.join(protocol['corpora'])}, {protocol['name']} fold {protocol['fold']}, "
        f"{protocol['normalisation']}: {count_of(test['utterances'], 'utterance')} of "
        f"{count_of(test['speakers'], 'speaker')} not trained on, {emotions_text(dict(test))}. "
        f"{audit_text(protocol['audit'])}"
    )


def _changes(other: Other) -> str:
    heading = f"<h2>What differs from {escape(other.role)}</h2>"
    if not other.changes:
        return f"{heading}<p>No parameter that both read.</p>"
    rows = [(k, escape(old), f"<b>{escape(new)}</b>") for k, (old, new) in other.changes.items()]
    return heading + _table(["parameter", other.role, "this run"], rows)


def _score_rows(test: Mapping[str, Any], dev: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for name, title in SCORES.items():
        yield title, f"{test[name]:.3f}", f"{dev[name]:.3f}"


def _group_rows(test: Mapping[str, Any], dev: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for emotion, values in test["per_class"].items():
        yield emotion, _bar(values["recall"]), _bar(dev["per_class"].get(emotion, {}).get("recall"))
    for groups in ("uar_by_sex", "uar_by_corpus"):
        for group, value in test[groups].items():
            yield f"UAR, {group}", _bar(value), _bar(dev[groups].get(group))


def _bar(value: float | None) -> str:
    if value is None:
        return "–"
    return f'<meter min="0" max="1" value="{value:.3f}"></meter> {value:.3f}'


def _figure(title: str, png: bytes) -> str:
    source = f"data:image/png;base64,{b64encode(png).decode()}"
    return f'<h2>{escape(title)}</h2><figure><img alt="{escape(title)}" src="{source}"></figure>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first cell of each row is text; the others are HTML."""
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr><th>{escape(first)}</th>{''.join(f'<td class=n>{cell}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<table>{f'<tr>{heading}</tr>' if head else ''}{body}</table>"
