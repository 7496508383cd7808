"""A look at a real project: registry, traffic log, corrections, document, page, command."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.bundle import load_bundle, load_reference, save_bundle
from ser.errors import NoChampion, RegistryError
from ser.params import load_params
from ser.watch import looking
from support.answered import answers, with_reference
from support.project import Project
from support.registry import promote, register_versions


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    return with_reference(trained.copied_to(tmp_path))


def look(project: Project) -> looking.Look:
    found = looking.look(project.root, load_params(project.root / "params.yaml"))
    looking.write(project.root, found)
    return found


def test_a_training_gives_its_bundle_a_reference(trained: Project) -> None:
    reference = load_reference(trained.root / "models/bundle")
    assert reference is not None
    folds = pd.read_parquet(trained.root / "data/interim/folds.parquet")
    used = folds[folds["split"] != "test"]
    assert len(np.unique(reference.speaker)) == used["speaker"].nunique()
    assert len(reference.values) == len(used)
    seconds = reference.values["duration_seconds"]
    assert np.sort(seconds) == pytest.approx(np.sort(used["duration"]), abs=1e-3)
    known = reference.values["confidence"].notna().sum()
    assert known == (folds["split"] == "dev").sum()


def test_drift_is_told_once_in_its_cooldown(project: Project) -> None:
    answers(project, 2)
    first = look(project)
    assert not first.tells(24.0)

    answers(project, 3, bandwidth_hz=4000.0)
    second = look(project)
    assert second.tells(24.0)
    looking.write(project.root, second.as_told())

    third = look(project)
    assert third.drift.drifted
    assert not third.tells(24.0)
    assert third.tells(0.0)
    assert [one["drifted"] for one in third.to_dict()["looks"]] == [False, True, True]


def test_the_command_prints_writes_a_page_and_exits_by_what_it_found(project: Project) -> None:
    answers(project, 3, bandwidth_hz=4000.0)
    done = project.call("ser.cli", "drift", "--check")
    assert done.returncode == 3, done.stderr
    assert "Drift in all answers: bandwidth" in done.stdout
    page = (project.root / "reports/drift.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    found = json.loads(project.call("ser.cli", "drift", "--json").stdout)
    assert found["slices"][0]["drifted"]
    status = json.loads(project.run("flows.servers.status", "--json").stdout)
    assert status["drift"]["drifted"] is True


def test_few_answers_wait_for_more(project: Project) -> None:
    done = project.call("ser.cli", "drift")
    assert done.returncode == 0
    assert "0 of 50 answers that are needed." in done.stdout


def test_corrections_score_the_champion(project: Project) -> None:
    """One is asked again, one has this version's answer, one another version's."""
    clip = min((project.root / "data/raw/synthetic").rglob("*.wav"))
    bundle = load_bundle(project.root / "models/bundle")
    right, wrong = bundle.classes[:2]
    for place, (version, predicted) in enumerate([(1, right), (1, wrong), (9, right)]):
        folder = project.root / "data/inbox" / f"{place:032x}"
        folder.mkdir(parents=True)
        text = {"label": right, "predicted": predicted, "model_version": version, "time": "2026"}
        (folder / "correction.json").write_text(json.dumps(text))
    shutil.copy(clip, project.root / "data/inbox" / f"{2:032x}" / "recording")
    late = look(project).late
    assert late.labels == 3
    assert late.answered_anew == 1
    assert late.right in (1, 2)
    assert late.recall == {right: late.right / 3}


def test_without_a_champion_or_a_reference_it_says_what_to_do(
    project: Project, trained: Project, tmp_path: Path
) -> None:
    empty = trained.copied_to(tmp_path / "empty")
    with pytest.raises(NoChampion):
        look(empty)
    bundle = load_bundle(empty.root / "models/bundle")
    save_bundle(replace(bundle, reference=None), empty.root / "models/bundle")
    register_versions(empty.root, empty.root / "models/bundle", range(1, 2))
    promote(empty.root, 1)
    with pytest.raises(RegistryError, match="`make run` trains again"):
        look(empty)


def test_a_damaged_document_of_the_last_look_is_none(project: Project) -> None:
    answers(project, 2)
    (project.root / "reports/drift.json").write_text('{"limits": {"a": 1}, "told": 3}')
    assert not look(project).drift.drifted
