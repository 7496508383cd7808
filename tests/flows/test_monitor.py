"""The flow that looks for drift, on a real server: what it finds, tells once, and names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows import events
from ser.watch.look_file import read_look
from support.answered import answers, with_reference
from support.project import Project

pytestmark = pytest.mark.usefixtures("prefect")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """Events as they are emitted; tests/flows/test_notify sends real ones."""
    found: list[tuple[str, str, Any]] = []
    monkeypatch.setattr(
        events, "emit", lambda kind, summary, **how: found.append((kind, summary, how["labels"]))
    )
    return found


def look(project: Project) -> str:
    from flows.monitor import monitor

    return monitor(root=str(project.root))


def test_drift_is_told_once_and_asks_for_a_retraining(
    trained: Project, tmp_path: Path, told: list[Any]
) -> None:
    project = with_reference(trained.copied_to(tmp_path))
    answers(project, 2)
    assert look(project) == "No drift in the last 50 answers."
    assert told == []

    answers(project, 3, bandwidth_hz=4000.0)
    summary = look(project)
    look(project)
    assert summary.startswith("Drift in all answers: bandwidth")
    assert told == [("drift", summary, {events.RETRAIN: "true"})]
    assert read_look(project.root)["told"]


def test_with_retrain_off_drift_is_told_alone(
    trained: Project, tmp_path: Path, told: list[Any]
) -> None:
    project = with_reference(trained.copied_to(tmp_path))
    project.set(drift__retrain=False)
    answers(project, 3, bandwidth_hz=4000.0)
    look(project)
    ((_, _, labels),) = told
    assert labels == {events.RETRAIN: "false"}


def test_without_a_champion_there_is_nothing_to_look_at(
    trained: Project, tmp_path: Path, told: list[Any]
) -> None:
    assert look(trained.copied_to(tmp_path)).startswith("No champion yet")
    assert told == []
