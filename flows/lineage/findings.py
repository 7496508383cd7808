"""What a reproduction found, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from flows.lineage.compare import Difference, Stage
from flows.lineage.spread import prediction_interval, spread_text

#: Stages whose last bits depend on the machine.
ROUNDED = ("featurize", "explore", "embed", "train", "evaluate", "stress", "report")


@dataclass(frozen=True)
class Reproduction:
    """What a reproduction found.

    machine : what differs from the recorded machine and libraries. features : by folder, where its
    files differ; () where the recorded ones are not here. answers : "" where they are the same, or
    cannot be compared. spread : test UAR by seed. is_measured_now : on this machine, by this run.
    """

    stages: tuple[Stage, ...]
    machine: tuple[str, ...]
    features: Mapping[str, Sequence[Difference]]
    answers: str
    uar: float
    recorded_uar: float
    spread: tuple[float, ...]
    is_measured_now: bool = False

    @property
    def is_identical(self) -> bool:
        return all(map(self.is_same, self.stages))

    def is_same(self, stage: Stage) -> bool:
        """Whether a stage made the same files or, under names that other source gives, values."""
        found = [self.features.get(path, ()) for path in stage.differing]
        return all(own and all(d.is_exact for d in own) for own in found)

    @property
    def is_within_limits(self) -> bool:
        """Whether what differs is what another machine, and nothing else, may make differ."""
        if self.is_identical:
            return True
        differing = [stage for stage in self.stages if not self.is_same(stage)]
        by_machine = all(s.name in ROUNDED and not s.causes for s in differing)
        rounding = all(
            found and all(d.is_rounding for d in found) for found in self.features.values()
        )
        return bool(self.machine) and by_machine and rounding and self.is_within_spread

    @property
    def is_within_spread(self) -> bool:
        """Whether both scores are such as another seed might have given."""
        if len(self.spread) < 2:
            return False
        low, high = prediction_interval(self.spread)
        return low <= self.uar <= high and low <= self.recorded_uar <= high

    @property
    def start(self) -> Stage:
        """The first stage that differs."""
        return next(stage for stage in self.stages if not self.is_same(stage))

    @property
    def verdict(self) -> str:
        if self.is_identical:
            return "Identical: features, weights and scores are those of the record."
        causes = ", ".join(self.start.causes)
        because = f", whose {causes} is not what was recorded" if causes else ""
        where = f"The difference starts in {self.start.name}{because}."
        scores = f"Test UAR {self.uar:.3f}, recorded {self.recorded_uar:.3f}"
        if len(self.spread) > 1:
            inside = "within" if self.is_within_spread else "outside"
            scores += f", {inside} the spread over seeds ({spread_text(self.spread)})"
        if not self.machine:
            return f"Not identical. {where} {scores}."
        limits = "" if self.is_within_limits else " That is more than another machine explains."
        return f"Another machine, not identical. {where} {scores}.{limits}"


def print_found(found: Reproduction, console: Console) -> None:
    """One line a stage, then what is different, and the verdict."""
    for stage in found.stages:
        console.print(f"{stage.name:20} {stage_text(stage, found)}", soft_wrap=True)
    if found.answers:
        console.print(f"{'answers':20} {found.answers}")
    for line in found.machine:
        console.print(f"{'machine':20} {escape(line)}", soft_wrap=True)
    console.print(f"\n[bold]{escape(found.verdict)}[/]", soft_wrap=True)


def stage_text(stage: Stage, found: Reproduction) -> str:
    if found.is_same(stage):
        files = "" if not stage.differing else f" values in {', '.join(stage.differing)}"
        changed = f", although {', '.join(stage.causes)} changed" if stage.causes else ""
        return f"identical{files}{changed}"
    told = []
    for path in stage.differing:
        how = found.features.get(path)
        told.append(f"{path} ({'; '.join(map(str, how))})" if how else path)
    return escape(f"differs: {', '.join(told)}")


def as_json(found: Reproduction) -> dict[str, Any]:
    return {
        "identical": found.is_identical,
        "within_limits": found.is_within_limits,
        "verdict": found.verdict,
        "start": None if found.is_identical else found.start.name,
        "stages": {
            s.name: {"differing": list(s.differing), "causes": list(s.causes)} for s in found.stages
        },
        "features": {
            path: [asdict(difference) for difference in own] for path, own in found.features.items()
        },
        "answers": found.answers,
        "machine": list(found.machine),
        "uar": found.uar,
        "recorded_uar": found.recorded_uar,
        "spread": list(found.spread),
    }
