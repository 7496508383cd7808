"""Results as Markdown: ours beside the published, and the human line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ser.core.scores.metrics import interval_text
from ser.core.scores.published import CHOSEN_ON, PUBLISHED_ROWS, PublishedRow
from ser.errors import TableError
from ser.files import read_json
from ser.output import count_of

#: A result file, as `summarise` makes it.
Result = Mapping[str, Any]

INTRODUCTION = """# Benchmarks

UAR is the unweighted average recall over all folds' test speakers, each tested once, \
with a 95 % interval bootstrapped over speakers. Whatever was chosen or calibrated was \
so on dev speakers inside the training folds. *Speaker-enrolled* means that each test \
speaker is known by his or her own unlabelled clips, all those of the test; *plain*, that \
nobody is known. Made by `ser benchmark`; the JSON files have everything."""


def read_result(path: Path) -> Result | None:
    """A result; None for any other file that lies beside results."""
    try:
        content = read_json(path)
    except (TableError, OSError, UnicodeDecodeError):
        return None
    known = {"protocol", "uar", "per_fold", "by_enrolment_clips"}
    return content if known <= content.keys() else None


def page(results: Iterable[Result], *, figure: str | None = None) -> str:
    """A section for each corpus, protocol and set of emotions.

    figure : path of a section's picture, with {section} to fill in.
    """
    blocks = [INTRODUCTION]
    for section, group in sections(results):
        blocks.append(f"## {section.title}")
        if figure:
            blocks.append(f"![UAR on {section.title}]({figure.format(section=section.slug)})")
        blocks += _section(group, section)
    return "\n\n".join(blocks) + "\n"


@dataclass(frozen=True)
class Section:
    """What results share that may stand under one heading and one chance.

    labels : `all`, or what `data.labels` made of the corpus's emotions.
    """

    corpus: str
    protocol: str
    labels: str
    emotions: tuple[str, ...]

    @classmethod
    def of(cls, result: Result) -> Section:
        # Results from before labels were noted are of all emotions.
        labels = str(result.get("labels", "all"))
        return cls(result["corpus"], result["protocol"], labels, tuple(result["per_class"]))

    @property
    def title(self) -> str:
        labels = "" if self.labels == "all" else f", {self.labels}"
        return f"{self.corpus}, {self.protocol}{labels}"

    @property
    def slug(self) -> str:
        """The title as a part of a file's name."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def published(self) -> tuple[PublishedRow, ...]:
        """Published scores, which are of all the corpus's emotions."""
        return PUBLISHED_ROWS.get(self.protocol, ()) if self.labels == "all" else ()


def sections(results: Iterable[Result]) -> Iterator[tuple[Section, list[Result]]]:
    """Results by corpus, protocol and emotions, plain ones first, the best of each first."""

    def place(result: Result) -> tuple[Any, ...]:
        return *vars(Section.of(result)).values(), result["normalisation"], -result["uar"]

    for section, group in groupby(sorted(results, key=place), key=Section.of):
        yield section, list(group)


def _section(results: Sequence[Result], section: Section) -> list[str]:
    """Paragraphs and tables."""
    first = results[0]
    emotions = list(first["per_class"])
    scores = [
        *map(_scores, results),
        *(
            (f"{row.system} ({row.kind})", f"{row.score} {row.note}".strip(), "", "", "")
            for row in section.published
        ),
    ]
    costs = (
        *("system", "ECE", "coverage (asked)", "set size", "female", "male"),
        *("parameters", "benchmark", "one clip"),
    )
    by_fold = [str(fold["fold"]) for fold in first["per_fold"]]
    blocks = [
        f"{first['speakers']} speakers, {first['utterances']} utterances, "
        f"{len(emotions)} emotions, {count_of(first['folds'], 'fold')}; chance "
        f"{first['chance']:.3f}. {_remark(first)}".rstrip(),
        _table(("system", "UAR", "95 %", "accuracy", "macro F1"), scores),
        _table(costs, map(_costs, results)),
        *_answered(results),
        "Recall by emotion:",
        _by_system(results, emotions, lambda r: [r["per_class"][e]["recall"] for e in emotions], 2),
    ]
    if len(by_fold) > 1:
        by_fold_scores = _by_system(
            results, by_fold, lambda r: [f["scores"]["test/uar"] for f in r["per_fold"]], 3
        )
        blocks += ["UAR by fold:", by_fold_scores]
    for result in results:
        if clips := result["by_enrolment_clips"]:
            blocks += [
                f"UAR of {name_of(result)} by the clips that a speaker is known by:",
                _table(("clips", "UAR", "95 %", "ECE", "coverage"), map(_clips, clips)),
            ]
    made = [
        f"- `{r['command']}`, {_made_by(r)}, splits `{r['split_sha256'][:12]}`" for r in results
    ]
    return [*blocks, "Made with:", "\n".join(made)]


def _remark(result: Result) -> str:
    """On whom the defaults were chosen; of a cross-corpus result, who was trained on."""
    if "test_corpus" not in result:
        return CHOSEN_ON.get(result["corpus"], "")
    trained = (
        f"Trained on {result['train_speakers']} speakers and {result['train_utterances']} "
        f"utterances of {' and '.join(result['train_corpora'])}."
    )
    lost = [f"{', '.join(emotions)} of {corpus}" for corpus, emotions in result["dropped"].items()]
    return f"{trained} Left out: {'; '.join(lost)}." if lost else trained


def _answered(results: Sequence[Result]) -> list[str]:
    """What is left where a model abstains; results from before that was kept have no row."""
    known = [result for result in results if "answered" in result]
    if not known:
        return []
    rows = [
        (
            name_of(r),
            f"{100 * r['answered']:.0f} %",
            "" if r["uar_answered"] is None else f"{r['uar_answered']:.3f}",
            interval_text(r["uar_answered_ci95"]),
            ", ".join(f"{reason} {n}" for reason, n in r["abstained"].items()),
        )
        for r in known
    ]
    head = ("system", "answered", "UAR of the answers", "95 %", "why not: utterances")
    return [
        "The other scores count every utterance; these are with abstention:",
        _table(head, rows),
    ]


def _made_by(result: Result) -> str:
    """The commit of the code; results from before it was kept have none."""
    commit = result.get("commit")
    return f"commit `{commit[:7]}`" if commit else "an earlier commit"


def _scores(result: Result) -> tuple[str, ...]:
    return (
        f"**{name_of(result)}**",
        f"**{result['uar']:.3f}**",
        interval_text(result["uar_ci95"]),
        f"{result['accuracy']:.3f}",
        f"{result['f1_macro']:.3f}",
    )


def _costs(result: Result) -> tuple[str, ...]:
    by_sex = result["uar_by_sex"]
    return (
        name_of(result),
        f"{result['ece']:.3f}",
        f"{result['coverage']:.3f} ({result['coverage_asked']:.2f})",
        f"{result['set_size']:.2f}",
        *(f"{by_sex[sex]:.3f}" if sex in by_sex else "" for sex in ("female", "male")),
        f"{result['parameters']:,}",
        f"{result['seconds'] / 60:.1f} min",
        f"{result['inference_ms']:.0f} ms",
    )


def _clips(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['clips']} calm or neutral" if row["known_by"] == "calm" else str(row["clips"]),
        f"{row['uar']:.3f}",
        interval_text(row["uar_ci95"]),
        f"{row['ece']:.3f}",
        f"{row['coverage']:.3f}",
    )


def name_of(result: Result) -> str:
    enrolled = result["normalisation"] == "speaker-enrolled"
    return f"{result['model']}, enrolled" if enrolled else str(result["model"])


def _by_system(
    results: Iterable[Result],
    head: Sequence[str],
    scores: Callable[[Result], list[float]],
    digits: int,
) -> str:
    rows = [[name_of(r), *(f"{score:.{digits}f}" for score in scores(r))] for r in results]
    return _table(("system", *head), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
