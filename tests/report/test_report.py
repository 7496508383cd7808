"""The report of a real run: by its files, and by what MLflow has of it."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.files import read_json
from ser.io.tracking.store import connect
from ser.project import CARD, METRICS, REPORT, SLICES
from ser.report.gather import of_project, of_run
from ser.reporting.model_report import report_html
from support.project import Project

#: Bytes of a page, with all its players.
LARGEST = 5_000_000


def run_id(project: Project) -> str:
    return str(project.json("reports/train.json")["run_id"])


def test_the_numbers_on_the_page_are_those_of_the_metrics(trained: Project) -> None:
    page = (trained.root / REPORT).read_text()
    test = read_json(trained.root / METRICS)["test"]
    low, high = test["uar_ci95"]
    assert f"{test['uar']:.3f}</strong>" in page
    assert f"95 % {low:.3f} to {high:.3f}" in page
    for name in ("accuracy", "precision_macro", "f1_macro", "ece", "coverage", "chance"):
        assert f">{test[name]:.3f}</td>" in page
    speakers = {one["group"]: one for one in read_json(trained.root / SLICES)["slices"]}
    assert f">{speakers['synthetic/spk01']['uar']:.3f}</td>" in page or len(speakers) > 0
    assert len(page.encode()) < LARGEST


def test_players_hold_the_recordings_of_the_wrong_answers(trained: Project) -> None:
    mistakes = read_json(trained.root / SLICES)["mistakes"]
    assert mistakes, "two test speakers of an easy corpus are not all understood"
    page = (trained.root / REPORT).read_text()
    players = re.findall(r'<audio [^>]*src="data:audio/mpeg;base64,([^"]+)"', page)
    assert len(players) == len(mistakes)
    for coded, mistake in zip(players[:2], mistakes[:2], strict=True):
        y, sr = soundfile.read(io.BytesIO(base64.b64decode(coded)))
        recorded, _ = soundfile.read(trained.root / mistake["file"])
        assert len(y) == pytest.approx(len(recorded), abs=0.2 * sr)
        assert np.sqrt((y**2).mean()) == pytest.approx(np.sqrt((recorded**2).mean()), rel=0.2)


def test_a_recording_that_changed_is_no_player(project: Project) -> None:
    first, *others = (
        project.root / m["file"] for m in read_json(project.root / SLICES)["mistakes"]
    )
    content = bytearray(first.read_bytes())
    content[-100] ^= 1
    first.unlink()
    first.write_bytes(content)
    for other in others:
        other.unlink()
    done = project.call("ser.cli", "report")
    assert done.returncode == 0, done.stderr
    page = (project.root / REPORT).read_text()
    assert "its bytes changed" in page
    assert str(project.root) not in page
    assert "data:audio" not in page
    assert "wrong answers have no player" in done.stderr


def test_mlflow_has_page_card_and_tables_and_makes_the_same_page_anew(trained: Project) -> None:
    client = connect(trained.root)
    files = {f.path for f in client.list_artifacts(run_id(trained))}
    assert {REPORT.name, CARD.name} <= files
    tables = {f.path for f in client.list_artifacts(run_id(trained), "reports")}
    assert {"reports/slices.json", "reports/curves.csv"} <= tables
    by_run = report_html(of_run(trained.root, run_id(trained)))
    by_files = report_html(of_project(trained.root))
    # A run does not know its bundle's hash.
    bundle = r'<tr><th scope="row">Bundle</th><td>[0-9a-f]{12}</td></tr>'
    assert re.sub(bundle, "", by_files) == by_run


def test_the_same_answers_give_the_same_slices_and_card(project: Project) -> None:
    before = [(project.root / path).read_bytes() for path in (SLICES, CARD)]
    done = project.call("ser.stages.report")
    assert done.returncode == 0, done.stderr
    assert [(project.root / path).read_bytes() for path in (SLICES, CARD)] == before


def test_a_run_without_slices_is_reported_by_its_predictions(project: Project) -> None:
    """As an older release logged it."""
    folder = connect(project.root).get_run(run_id(project)).info.artifact_uri
    logged = Path(folder.removeprefix("file://")) / "reports" / SLICES.name
    shutil.copy(logged, project.root / "kept.json")
    now = of_run(project.root, run_id(project))
    logged.unlink()
    try:
        before = of_run(project.root, run_id(project))
    finally:
        shutil.copy(project.root / "kept.json", logged)
    assert [s["uar"] for s in before.analysis["slices"]] == pytest.approx(
        [s["uar"] for s in now.analysis["slices"]]
    )
    assert "Not recorded" not in report_html(before)


def test_ser_report_takes_runs_by_id_and_name_and_names_what_is_not_there(
    project: Project,
) -> None:
    name = connect(project.root).get_run(run_id(project)).info.run_name
    for named in (run_id(project), name):
        done = project.call("ser.cli", "report", named, "--out", "a page.html")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "a page.html\n"
        assert name in (project.root / "a page.html").read_text()
    done = project.call("ser.cli", "report", "nobody")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "Nor does MLflow have a run of that id or name" in line
