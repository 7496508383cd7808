"""The report of a tick: a Markdown artifact and a closing table."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.request import Request
from flows.stages import Outcome
from ser.core.scores.metrics import audit_text, emotions_text
from ser.core.utterance.fitness import in_words
from ser.inbox.taking import Taken
from ser.io.tracking.pages import links
from ser.io.tracking.registry.versions import MODEL, Version
from ser.output import count_of, one_line
from ser.reporting.verdict import TITLES, rule_cells, rules_text, wear_text
from ser.reporting.words import SCORES, SYNTHETIC

if TYPE_CHECKING:
    from ser.core.gate.verdict import Verdict

#: Beside UAR.
OTHERS = ("accuracy", "precision_macro", "recall_macro", "f1_macro")


@dataclass(frozen=True)
class Tick:
    """One pass of the flow. `verdict` is None if the model had been judged before."""

    outcomes: tuple[Outcome, ...]
    version: Version
    verdict: Verdict | None
    champion: Version | None
    metrics: dict[str, Any]
    experiment_id: str
    #: Address of MLflow's user interface.
    mlflow_ui: str
    request: Request
    #: Why an earlier champion serves again, and which; "" where none does.
    rolled_back: str = ""
    #: Recordings that were taken in from data/inbox.
    taken: tuple[Taken, ...] = ()
    uncommitted: tuple[str, ...] = ()

    @property
    def is_synthetic(self) -> bool:
        return "synthetic" in self.metrics["protocol"]["corpora"]

    @property
    def fate(self) -> str:
        """What became of the model: promoted, kept out or, if judged before, nothing new."""
        if self.verdict is None:
            return "nothing new"
        return "promoted" if self.verdict.promote else "kept out"

    @property
    def outcome(self) -> str:
        """What happened, in a few words for the flow run's name."""
        if self.request.dry_run:
            return f"dry run, would be {self.fate}"
        done = self.fate if self.verdict is None else f"{self.fate} v{self.version.version}"
        return f"{done}, rolled back" if self.rolled_back else done

    @property
    def tags(self) -> tuple[str, ...]:
        """Of the flow run in Prefect."""
        fate = "dry run" if self.request.dry_run else self.fate
        version = [f"version:{self.version.version}"] if self.version.version else []
        return (f"outcome:{fate}", *version)

    @property
    def run_url(self) -> str:
        return links.run_url(self.mlflow_ui, self.experiment_id, self.version.run_id)

    @property
    def version_url(self) -> str:
        return links.version_url(self.mlflow_ui, MODEL, self.version.version)

    @property
    def summary(self) -> str:
        number = self.version.version
        if self.request.dry_run and self.verdict is not None:
            would = "would be promoted" if self.verdict.promote else "would be kept out"
            return f"Dry run: the model {would}, and is not registered. {self.verdict.reason}"
        if self.verdict is not None:
            fate = "promoted" if self.verdict.promote else "kept out"
            return f"Version {number} is {fate}. {self.verdict.reason}"
        before = f"version {number}, judged before ({self.version.verdict})"
        if any(outcome.did != "unchanged" for outcome in self.outcomes):
            return f"Nothing to register: the stages made the very bundle of {before}."
        return f"Nothing changed, so nothing was trained or registered: the model is {before}."


def rows(tick: Tick) -> dict[str, str]:
    """Scores and verdict, with rich's markup."""
    test, audit = tick.metrics["test"], tick.metrics["protocol"]["audit"]
    champion = f"version {tick.champion.version}" if tick.champion else "none yet"
    return {
        "Corpus": "+".join(tick.metrics["protocol"]["corpora"]),
        "Protocol": protocol_text(tick),
        "Audit": audit_text(audit) + left_out_text(audit["left_out"]),
        "Model": tick.metrics["model"],
        "UAR": f"[bold]{uar_text(test)}[/]   chance {test['chance']:.3f}",
        "Emotions": emotions_text(test),
        **{SCORES[name]: f"{test[name]:.3f}" for name in OTHERS},
        **asked(tick.request),
        **({"Inbox": escape(inbox_text(tick.taken))} if tick.taken else {}),
        **rule_rows(tick.verdict),
        "Verdict": tick.summary,
        **({"Canary": escape(tick.rolled_back)} if tick.rolled_back else {}),
        "Champion": f"{champion} of {MODEL}",
    }


def inbox_text(taken: Iterable[Taken]) -> str:
    """What came in and what was refused, by corpus."""
    return " ".join(
        f"{one.corpus}: waits, {one.waits}."
        if one.waits
        else f"{one.corpus}: {one.added} new, {len(one.refused)} refused"
        f"{f' (data/inbox/refused/{one.corpus})' if one.refused else ''}."
        for one in taken
    )


def refused_table(taken: Iterable[Taken]) -> str:
    """Every refused recording with its reason, in Markdown."""
    rows = [
        f"| {one.corpus}/{bad.file} | {bad.reason} | {one_line(bad.why)} |".replace("\n", " ")
        for one in taken
        for bad in one.refused
    ]
    head = "| Refused | Reason | Why |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n" if rows else ""


def rule_rows(verdict: Verdict | None) -> dict[str, str]:
    """How many of the gate's rules passed, which did not, and how often this split was used."""
    if verdict is None or not verdict.rules:
        return {}
    found = {"Rules": rules_text(verdict.to_dict()["rules"])}
    if verdict.comparisons:
        found["Verdicts"] = wear_text(verdict.comparisons, verdict.held_back)
    return found


def rule_table(verdict: Verdict | None) -> str:
    """Every rule with its figures, in Markdown."""
    if verdict is None or not verdict.rules:
        return ""
    rows = [TITLES, ("---",) * len(TITLES), *rule_cells(verdict.to_dict()["rules"])]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def asked(request: Request) -> dict[str, str]:
    """What the run was asked for beside params.yaml."""
    values = ", ".join(f"{name} {value}" for name, value in request.values.items())
    told = {"Set for this run": values, "Reason": request.reason}
    return {title: escape(text) for title, text in told.items() if text}


def markdown(tick: Tick) -> str:
    """The report that Prefect keeps with the run."""
    version = tick.version
    below = {title: Text.from_markup(text) for title, text in rows(tick).items()}
    cells = {k: one_line(v.plain).replace("|", "\\|") for k, v in below.items()}
    scores = "\n".join(f"| {k} | {cell} |" for k, cell in cells.items() if k != "Verdict")
    stages = "\n".join(f"| {o.stage} | {o.did} | {o.why} |" for o in tick.outcomes)
    note = f"\n{SYNTHETIC}\n" if tick.is_synthetic else ""
    model = f", [the version]({tick.version_url})" if version.version else ""
    return f"""# {tick.outcome[:1].upper()}{tick.outcome[1:]}

{tick.summary} {tick.rolled_back}

| | On test speakers |
|---|---|
{scores}
{note}
{rule_table(tick.verdict)}
{refused_table(tick.taken)}
| Stage | Outcome | Because |
|---|---|---|
{stages}

In MLflow (`make up` serves the project's own): [the run]({tick.run_url}){model}.
"""


def print_closing(tick: Tick, console: Console) -> None:
    """The last thing that a person sees: scores, verdict, and what to type next."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in rows(tick).items():
        table.add_row(*row)
    console.print()
    console.print(table)
    if tick.is_synthetic:
        console.print(f"\n[dim]{SYNTHETIC}[/]")
    console.print(
        "\nNext:  [bold]make up[/]  compares runs in MLflow, shows the flow, serves the champion",
        highlight=False,
    )
    if tick.champion:
        console.print(
            "       [bold].venv/bin/ser predict FILE.wav[/]  asks the champion", highlight=False
        )
    if tick.uncommitted:
        # A bracket in a file's name would be markup.
        files = escape(shlex.join(tick.uncommitted))
        console.print(
            f"       [bold]git add {files} && git commit[/]  keeps what version "
            f"{tick.version.version} was made of; then `dvc push`",
            highlight=False,
            soft_wrap=True,
        )


def uar_text(scores: dict[str, Any]) -> str:
    interval = scores["uar_ci95"]
    between = f" [95 % {interval[0]:.3f} to {interval[1]:.3f}]" if interval else ""
    return f"{scores['uar']:.3f}{between}"


def protocol_text(tick: Tick) -> str:
    protocol, test = tick.metrics["protocol"], tick.metrics["test"]
    return (
        f"{protocol['name']}, fold {protocol['fold']}: "
        f"{count_of(test['utterances'], 'utterance')} of "
        f"{count_of(test['speakers'], 'speaker')} not trained on"
    )


def left_out_text(left_out: dict[str, dict[str, int]]) -> str:
    """The recordings that are in no split, by corpus and reason."""
    each = [f"{name} ({in_words(counts)})" for name, counts in left_out.items()]
    return f" Recordings left out: {', '.join(each)}." if each else ""
