"""Which predictions of the champion the challenger is compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flows.gate.judging import TRAINING_SET, _with_fingerprints, judge_version, log_training_set
from ser.bundle import bundle_sha256, load_bundle, save_bundle
from ser.io.storage.tables import read_table, write_table
from ser.io.tracking import runs
from ser.io.tracking.registry import registration
from ser.io.tracking.registry.versions import Version
from ser.params import load_params
from ser.project import PREDICTIONS
from support.project import Project


@pytest.fixture
def versions(project: Project, tmp_path: Path):
    """Registers versions of the trained bundle that claim to be of some split."""

    def register(split: str) -> Version:
        with runs.start_run(project.root, name="test", params={}) as run:
            pass
        bundle = load_bundle(project.root / "models" / "bundle")
        directory = tmp_path / split
        save_bundle(replace(bundle, card={**bundle.card, "number": split}), directory)
        return registration.register(
            project.root,
            directory,
            run_id=run.run_id,
            bundle_sha256=bundle_sha256(directory),
            scores={},
            tags={"split_sha256": split},
        )

    return register


def test_on_another_split_the_champion_answers_again_where_it_never_heard_the_speakers(
    project: Project, versions
) -> None:
    """It answers from the recordings, with its own features: just as it did when evaluated."""
    champion, challenger = versions("a"), versions("b")
    params = load_params(project.root / "params.yaml")

    verdict = judge_version(project.root, params, challenger, champion)

    assert not verdict.promote
    assert verdict.reason.startswith("Equal")


def test_a_champion_that_heard_all_test_speakers_is_not_compared(
    project: Project, versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, challenger = versions("a"), versions("b")
    params = load_params(project.root / "params.yaml")
    everyone = sorted(read_table(project.root / "data/interim/folds.parquet")["speaker"])
    monkeypatch.setattr("flows.gate.judging._card", lambda *_: {"train_speakers": everyone})

    verdict = judge_version(project.root, params, challenger, champion)

    assert not verdict.promote
    assert verdict.reason.startswith("Not comparable")
    assert f"ser promote {challenger.version}" in verdict.reason


def test_a_champion_is_recognised_to_have_learnt_recordings_under_other_names(
    project: Project, versions, tmp_path
) -> None:
    champion, challenger = versions("a"), versions("b")
    params = load_params(project.root / "params.yaml")
    log_training_set(project.root, params, champion.run_id)
    kept = read_table(runs.fetch_artifact(project.root, champion.run_id, TRAINING_SET))
    assert not set(kept["speaker"]) & set(read_table(project.root / PREDICTIONS)["speaker"])

    # The test recordings, too, but as if other people had spoken them.
    everything = _with_fingerprints(project.root, params).assign(speaker="others/1")
    write_table(everything[list(kept.columns)], tmp_path / TRAINING_SET)
    runs.resume_run(project.root, champion.run_id).log_artifact(tmp_path / TRAINING_SET)
    verdict = judge_version(project.root, params, challenger, champion)

    assert not verdict.promote
    assert verdict.reason.startswith("Not comparable")
