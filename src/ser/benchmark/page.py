"""Results as Markdown: ours beside the published, and the human line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ser.benchmark.published import CHOSEN_ON, PUBLISHED_ROWS, PublishedRow

Result = Mapping[str, Any]


def is_result(content: Any) -> bool:
    """Whether what a JSON file held is what `summarise` returns."""
    known = {"protocol", "uar", "per_fold", "by_enrolment_clips"}
    return (
        isinstance(content, dict)
        and known <= set(content)
        and all("known_by" in row for row in content["by_enrolment_clips"])
    )


def page(results: Iterable[Result], *, figure: str | None = None) -> str:
    """A section for each corpus, protocol and set of emotions; a result is what `summarise`
    returns.

    figure : path of a section's picture, with {section} to fill in.
    """
    lines = [
        "# Benchmarks",
        "",
        "UAR is the unweighted average recall over all folds' test speakers, each tested once, "
        "with a 95 % interval bootstrapped over speakers. Whatever was chosen or calibrated was "
        "so on dev speakers inside the training folds. *Speaker-enrolled* means that each test "
        "speaker is known by his or her own unlabelled clips, all those of the test; *plain*, that "
        "nobody is known. Made by `ser benchmark`; the JSON files have everything.",
    ]
    for section, group in sections(results):
        lines += ["", f"## {section.title}"]
        if figure:
            picture = figure.format(section=section.slug)
            lines += ["", f"![UAR on {section.title}]({picture})"]
        lines += _section(group, section)
    return "\n".join(lines) + "\n"


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
    for section, group in groupby(sorted(results, key=_place), key=Section.of):
        yield section, list(group)


def _place(result: Result) -> tuple[Any, ...]:
    section = Section.of(result)
    shared = section.corpus, section.protocol, section.labels, section.emotions
    return *shared, result["normalisation"], -result["uar"]


def _section(results: Sequence[Result], section: Section) -> list[str]:
    first = results[0]
    lines = [
        "",
        f"{first['speakers']} speakers, {first['utterances']} utterances, "
        f"{len(first['per_class'])} emotions, {first['folds']} folds; chance "
        f"{first['chance']:.3f}. {CHOSEN_ON.get(first['corpus'], '')}".rstrip(),
        "",
        *_table(
            ("system", "UAR", "95 %", "accuracy", "macro F1"),
            [_scores(result) for result in results]
            + [
                (f"{row.system} ({row.kind})", f"{row.score} {row.note}".strip(), "", "", "")
                for row in section.published
            ],
        ),
        "",
        *_table(
            ("system", "ECE", "coverage (asked)", "set size", "female", "male", "parameters",
             "benchmark", "one clip"),
            [_costs(result) for result in results],
        ),
        "",
        "Recall by emotion:",
        "",
        *_recalls(results),
    ]  # fmt: skip
    lines += ["", "UAR by fold:", "", *_folds(results)]
    for result in results:
        if result["by_enrolment_clips"]:
            lines += ["", f"UAR of {name_of(result)} by the clips that a speaker is known by:", ""]
            lines += _clips(result)
    lines += ["", "Made with:", ""]
    lines += [
        f"- `{r['command']}`, {_made_by(r)}, splits `{r['split_sha256'][:12]}`" for r in results
    ]
    return lines


def _made_by(result: Result) -> str:
    """The commit of the code; results from before it was kept do not say."""
    commit = result.get("commit")
    return f"commit `{commit[:7]}`" if commit else "an earlier commit"


def _scores(result: Result) -> tuple[str, ...]:
    return (
        f"**{name_of(result)}**",
        f"**{result['uar']:.3f}**",
        _interval(result["uar_ci95"]),
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


def _recalls(results: Sequence[Result]) -> list[str]:
    emotions = list(results[0]["per_class"])
    rows = [
        (name_of(result), *(f"{result['per_class'][e]['recall']:.2f}" for e in emotions))
        for result in results
    ]
    return _table(("system", *emotions), rows)


def _folds(results: Sequence[Result]) -> list[str]:
    head = [str(fold["fold"]) for fold in results[0]["per_fold"]]
    rows = [
        (name_of(result), *(f"{fold['scores']['test/uar']:.3f}" for fold in result["per_fold"]))
        for result in results
    ]
    return _table(("system", *head), rows)


def _clips(result: Result) -> list[str]:
    rows = [
        (
            f"{row['clips']} calm or neutral" if row["known_by"] == "calm" else str(row["clips"]),
            f"{row['uar']:.3f}",
            _interval(row["uar_ci95"]),
            f"{row['ece']:.3f}",
            f"{row['coverage']:.3f}",
        )
        for row in result["by_enrolment_clips"]
    ]
    return _table(("clips", "UAR", "95 %", "ECE", "coverage"), rows)


def name_of(result: Result) -> str:
    enrolled = result["normalisation"] == "speaker-enrolled"
    return f"{result['model']}, enrolled" if enrolled else str(result["model"])


def _interval(interval: Sequence[float] | None) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
