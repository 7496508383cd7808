"""A version made again: in another clone, and with other source."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ser.io.tracking.registry import records, versions
from support.project import Project


@pytest.fixture(scope="module")
def registered(
    trained: Project, tmp_path_factory: pytest.TempPathFactory, prefect: None
) -> Project:
    from flows.pipeline import retrain

    project = trained.copied_to(tmp_path_factory.mktemp("registered"))
    retrain(root=str(project.root))
    return project


def reproduced(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.run("flows.lineage.reproduce", *arguments, "--json")


def test_another_clone_with_lineage_json_makes_the_very_model(
    registered: Project, tmp_path: Path
) -> None:
    record = records.fetch_record(registered.root, versions.champion(registered.root))
    clone = Project(tmp_path / "clone")
    subprocess.run(["git", "clone", "-q", registered.root, clone.root], check=True)
    # As DVC keeps it of a corpus that was chosen before.
    lock = yaml.safe_load(record["files"]["dvc.lock"])
    lock["stages"]["manifest@savee"] = lock["stages"]["manifest@synthetic"]
    record["files"]["dvc.lock"] = yaml.safe_dump(lock)
    (clone.root / "lineage.json").write_text(json.dumps(record))

    done = reproduced(clone, "lineage.json")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["identical"], found
    assert set(found["stages"]) >= {"featurize", "train", "evaluate"}
    assert not (clone.root / "mlruns" / "mlflow.db").exists()


def test_the_stage_whose_source_was_changed_is_where_the_difference_starts(
    registered: Project, tmp_path: Path
) -> None:
    project = registered.copied_to(tmp_path)
    source = project.root / "src" / "ser" / "core" / "features" / "movement.py"
    text = source.read_text()
    assert "UNIT_DB, FLOOR = 10.0, 0.3\n" in text
    source.write_text(text.replace("UNIT_DB, FLOOR = 10.0, 0.3\n", "UNIT_DB, FLOOR = 10.0, 0.4\n"))

    done = reproduced(project, "champion", "--code", "here")

    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["start"] == "featurize"
    assert found["stages"]["featurize"]["causes"] == ["src/ser/core/features"]
    (functionals, log_mels) = found["features"]["data/features"]
    assert functionals["descriptor"].startswith("movement_")
    assert functionals["share"] > 1e-5
    assert log_mels["is_exact"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["17"], "no version 17; known are 1"),
        (["nobody"], "No version of emotion-recognition has the alias 'nobody'"),
        (["nowhere.json"], "nowhere.json cannot be read"),
        (["params.yaml"], "params.yaml cannot be read"),
        (["broken.json"], "machine is 5; expected an object"),
        (["champion", "--code", "0000"], "Git has no commit 0000"),
    ],
)
def test_what_cannot_be_made_again_is_one_line(
    registered: Project, arguments: list[str], words: str
) -> None:
    record = records.fetch_record(registered.root, versions.champion(registered.root))
    (registered.root / "broken.json").write_text(json.dumps({**record, "machine": 5}))

    done = reproduced(registered, *arguments)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line


def test_ser_lineage_shows_the_record(registered: Project) -> None:
    done = registered.call("ser.cli", "lineage", "champion")
    record = json.loads(registered.call("ser.cli", "lineage", "1", "--json").stdout)

    assert done.returncode == 0, done.stderr
    for shown in (
        record["git"]["commit"][:12],
        record["bundle_sha256"][:12],
        sys.version.split()[0],
    ):
        assert shown in done.stdout
    assert record["verdict"]["promote"]
    assert record["corpora"]["synthetic"].endswith(".dir")
