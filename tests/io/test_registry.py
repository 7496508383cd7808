"""Versions, aliases and the journal, in a real SQLite store with a real bundle."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile

from project import Project
from ser.bundle import bundle_sha256, load_bundle
from ser.errors import NoChampion, RegistryError
from ser.io import journal, mlflow_store, registry, tracking
from ser.io.packaging import example_audio
from ser.predictor import Predictor

SHA = ["a" * 64, "b" * 64, "c" * 64]


@pytest.fixture(scope="module")
def prepared(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three versions, none promoted."""
    root = tmp_path_factory.mktemp("prepared")
    for sha in SHA:
        with tracking.start_run(root, name=sha[:3], params={"seed": 7}) as run:
            pass
        registry.register(
            root,
            trained.root / "models" / "bundle",
            run_id=run.run_id,
            bundle_sha256=sha,
            scores={"uar": 0.51239},
            tags={"split_sha256": "s" * 64},
        )
    return root


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    """The prepared project, the test's own to change; the artifacts stay where they are."""
    copy = tmp_path / "mlruns"
    copy.mkdir()
    shutil.copy(prepared / "mlruns" / "mlflow.db", copy)
    return tmp_path


def promote(root: Path, version: int, reason: str = "better") -> registry.Version:
    return registry.promote(root, registry.get_version(root, version), reason=reason)


def test_a_version_says_what_it_is(root: Path) -> None:
    version = registry.find_version(root, SHA[2])

    assert version is not None
    assert (version.version, version.bundle_sha256) == (3, SHA[2])
    assert version.split_sha256 == "s" * 64
    assert version.tags["uar"] == "0.5124"
    assert version.aliases == ("challenger",)
    assert version.verdict is None
    assert tracking.run_exists(root, version.run_id)


def test_an_unknown_bundle_or_number_is_no_version(root: Path, tmp_path: Path) -> None:
    assert registry.find_version(root, "d" * 64) is None
    with pytest.raises(RegistryError, match="no version 9; known are 3, 2, 1"):
        registry.get_version(root, 9)


def test_there_is_no_champion_before_the_first_promotion(root: Path) -> None:
    assert registry.champion(root) is None
    with pytest.raises(NoChampion, match="make run"):
        registry.fetch_bundle(root)


def test_the_promoted_version_serves_and_the_journal_knows_why(root: Path) -> None:
    promote(root, 1, "first")
    promoted = promote(root, 2, "better")

    assert registry.champion(root) == promoted
    assert (promoted.verdict, promoted.verdict_reason) == ("promoted", "better")
    rows = [(r["event"], r["version"], r["previous"], r["reason"]) for r in journal.rows(root)]
    assert rows == [("promoted", 1, None, "first"), ("promoted", 2, 1, "better")]


def test_the_list_of_versions_agrees_with_each_of_them(root: Path) -> None:
    promote(root, 1)

    listed = registry.versions(root)

    assert [v.version for v in listed] == [3, 2, 1]
    assert listed == [registry.get_version(root, v.version) for v in listed]


def test_a_kept_champion_stays_and_the_verdict_is_on_record(root: Path) -> None:
    promote(root, 1)

    kept = registry.keep(
        root, registry.get_version(root, 2), reason="worse", figures={"probability": 0.1}
    )

    assert registry.champion(root).version == 1
    assert (kept.verdict, kept.verdict_reason) == ("kept", "worse")
    assert kept.tags["probability"] == "0.1"
    assert journal.rows(root)[-1]["event"] == "kept"


def test_rolling_back_goes_one_champion_back_each_time(root: Path) -> None:
    for version in (1, 2, 3):
        promote(root, version)

    assert registry.roll_back(root, reason="bad").version == 2
    assert registry.roll_back(root, reason="bad").version == 1
    assert registry.champion(root).version == 1
    with pytest.raises(RegistryError, match="no predecessor"):
        registry.roll_back(root, reason="bad")


def test_rolling_back_needs_a_champion(root: Path) -> None:
    with pytest.raises(NoChampion):
        registry.roll_back(root, reason="bad")


def test_a_kill_between_journal_and_alias_leaves_the_old_champion(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(root, 1)

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_registered_model_alias", die)
        with pytest.raises(Killed):
            promote(root, 2)

    assert registry.champion(root).version == 1
    assert registry.get_version(root, 2).verdict is None
    promote(root, 2)
    assert registry.roll_back(root, reason="bad").version == 1


def test_a_kill_between_alias_and_verdict_still_rolls_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(root, 1)

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_model_version_tag", die)
        with pytest.raises(Killed):
            promote(root, 2)
    assert registry.champion(root).version == 2

    promote(root, 2)

    assert registry.roll_back(root, reason="bad").version == 1


def test_a_torn_last_row_is_skipped_and_does_not_swallow_the_next(root: Path) -> None:
    promote(root, 1)
    with journal.journal_path(root).open("a") as file:
        file.write('{"at": "2026-')

    promote(root, 2)

    assert [row["version"] for row in journal.rows(root)] == [1, 2]


def test_processes_that_promote_at_once_leave_one_champion_and_a_row_each(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ser.io import registry as r;"
        "root = Path(sys.argv[1]);"
        "[r.promote(root, r.get_version(root, int(v)), reason='race') for v in sys.argv[2:]]"
    )
    orders = (["1", "2", "3"], ["3", "2", "1"])
    racing = [subprocess.Popen([sys.executable, "-c", code, str(root), *o]) for o in orders]
    assert [process.wait(120) for process in racing] == [0, 0]

    rows = journal.rows(root)
    assert len(rows) == 6
    assert registry.champion(root).version == rows[-1]["version"]
    # Each row names as `previous` the champion that the row before it made.
    assert [r["previous"] for r in rows] == [None, *(r["version"] for r in rows[:-1])]


@pytest.mark.parametrize(
    "uri",
    [
        "models:/emotion-recognition/0x1",
        "models:/emotion-recognition/../1",
        "models:/emotion-recognition@nobody",
        "models:/other@champion",
        "models:/other/1",
        "models:/emotion-recognition/1@champion",
        "models:/emotion-recognition/%31",
        "runs:/abc/model",
        "/etc",
        "",
    ],
)
def test_a_uri_that_names_no_version_is_refused(root: Path, uri: str) -> None:
    with pytest.raises(RegistryError):
        registry.resolve(root, uri)


def test_a_fetched_bundle_is_the_registered_one(
    root: Path, trained: Project, tmp_path: Path
) -> None:
    promote(root, 2)
    expected = bundle_sha256(trained.root / "models" / "bundle")

    here = registry.fetch_bundle(root)
    copied = registry.fetch_bundle(root, "models:/emotion-recognition/1", tmp_path / "copy")

    assert bundle_sha256(here) == bundle_sha256(copied) == expected
    assert copied.is_relative_to(tmp_path)


def test_a_version_whose_files_are_gone_says_so(root: Path, tmp_path: Path) -> None:
    promote(root, 1)
    directory = registry.fetch_bundle(root)
    moved = directory.rename(tmp_path / "away")
    try:
        with pytest.raises(RegistryError, match="are gone"):
            registry.fetch_bundle(root)
    finally:
        moved.rename(directory)


def test_the_registered_model_answers_as_the_predictor_without_pickle(
    root: Path, trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    promote(root, 1)
    recording = next((trained.root / "data" / "raw" / "synthetic").rglob("*.wav"))
    samples, sr = soundfile.read(recording, dtype="float32")
    with mlflow_store.as_default_store(root):
        model = mlflow.pyfunc.load_model("models:/emotion-recognition@champion")

    encoded = base64.b64encode(recording.read_bytes()).decode()
    from_file = model.predict(pd.DataFrame({"audio": [encoded, example_audio()]}))
    from_samples = model.predict(
        pd.DataFrame({"samples": [samples.astype(float).tolist()], "sr": [sr]})
    )

    predictor = Predictor(load_bundle(trained.root / "models" / "bundle"))
    expected = predictor.predict(samples, sr=sr)
    for answer in (from_file.iloc[0], from_samples.iloc[0]):
        assert answer["emotion"] == expected.emotion
        assert answer["confidence"] == pytest.approx(expected.confidence)
        assert answer["posteriors"] == pytest.approx(expected.posteriors)
    # A buzz is no speech.
    assert from_file["abstention"].tolist() == [None, "no_speech"]
    assert from_file["emotion"].iloc[1] is None


def test_what_is_registered_is_typed_documented_and_no_pickle(root: Path) -> None:
    directory = registry.fetch_bundle(root, "models:/emotion-recognition/1").parents[1]

    files = {path.name for path in directory.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib", ".pt"))]
    assert {"pyfunc_model.py", "input_example.json", "requirements.txt"} <= files
    signature = mlflow.models.Model.load(str(directory)).signature
    assert signature.inputs.input_names() == ["audio", "samples", "sr"]
    assert not signature.inputs.required_input_names()
    assert signature.outputs.input_names() == [
        "emotion",
        "confidence",
        "posteriors",
        "abstention",
    ]
    example = json.loads((directory / "serving_input_example.json").read_text())
    assert len(json.dumps(example)) < 12_000


def test_a_row_without_audio_says_what_it_needs(root: Path) -> None:
    with mlflow_store.as_default_store(root):
        model = mlflow.pyfunc.load_model("models:/emotion-recognition/1").unwrap_python_model()

    for row in ({"audio": "not base64!"}, {"samples": [0.1]}, {"samples": None, "sr": np.nan}):
        with pytest.raises(Exception, match="audio"):
            model.predict(None, pd.DataFrame([row]))
