"""Versions, aliases and the journal, in a real SQLite store with a real bundle."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import soundfile

from ser.bundle import bundle_sha256, load_bundle
from ser.errors import DamagedVersion, NoChampion, RegistryError
from ser.io.tracking import runs, store
from ser.io.tracking.registry import bundles, journal, promotion, registration, versions
from ser.io.tracking.registry.packaging import example_audio
from ser.predictor import Predictor
from support.project import Project
from support.registry import keep, promote, tamper


def test_a_version_says_what_it_is(root: Path, sha: list[str]) -> None:
    version = versions.find_version(root, sha[2])

    assert version is not None
    assert (version.version, version.bundle_sha256) == (3, sha[2])
    assert version.split_sha256 == "s" * 64
    assert version.tags["uar"] == "0.5124"
    assert version.aliases == ("challenger",)
    assert version.verdict is None
    assert runs.run_exists(root, version.run_id)


def test_an_unknown_bundle_or_number_is_no_version(root: Path, tmp_path: Path) -> None:
    assert versions.find_version(root, "d" * 64) is None
    with pytest.raises(RegistryError, match="no version 9; known are 3, 2, 1"):
        versions.get_version(root, 9)


def test_where_no_version_is_registered_the_remedy_is_to_train(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no version 9; none is registered yet: `make run`"):
        versions.get_version(tmp_path, 9)


def test_there_is_no_champion_before_the_first_promotion(root: Path) -> None:
    assert versions.champion(root) is None
    with pytest.raises(NoChampion, match="make run"):
        bundles.fetch_bundle(root)


def test_the_promoted_version_serves_and_the_journal_knows_why(root: Path) -> None:
    promote(root, 1, "first")
    promoted = promote(root, 2, "better")

    assert versions.champion(root) == promoted
    assert (promoted.verdict, promoted.verdict_reason) == ("promoted", "better")
    rows = [(r["event"], r["version"], r["previous"], r["reason"]) for r in journal.rows(root)]
    assert rows == [("promoted", 1, None, "first"), ("promoted", 2, 1, "better")]


def test_the_list_of_versions_agrees_with_each_of_them(root: Path) -> None:
    promote(root, 1)

    listed = versions.all_versions(root)

    assert [v.version for v in listed] == [3, 2, 1]
    assert listed == [versions.get_version(root, v.version) for v in listed]


def test_a_kept_champion_stays_and_the_verdict_is_on_record(root: Path) -> None:
    promote(root, 1)

    kept = keep(root, 2, probability=0.1)

    assert versions.champion(root).version == 1
    assert (kept.verdict, kept.verdict_reason) == ("kept", "worse")
    assert kept.tags["probability"] == "0.1"
    assert journal.rows(root)[-1]["event"] == "kept"


def test_rolling_back_goes_one_champion_back_each_time(root: Path) -> None:
    for version in (1, 2, 3):
        promote(root, version)

    assert promotion.roll_back(root, reason="bad").version == 2
    assert promotion.roll_back(root, reason="bad").version == 1
    assert versions.champion(root).version == 1
    with pytest.raises(RegistryError, match="no predecessor"):
        promotion.roll_back(root, reason="bad")


def test_rolling_back_to_a_version_takes_any_earlier_champion_and_lists_them(
    own_artifacts: Path,
) -> None:
    root = own_artifacts
    for version in (1, 2):
        promote(root, version)
    for version, why in ((3, "never was champion"), (9, "does not exist"), (2, "is the champion")):
        with pytest.raises(RegistryError, match=rf"Version {version} {why}; .*loaded: 1\."):
            promotion.roll_back(root, version, reason="bad")
    promote(root, 3)

    assert promotion.roll_back(root, 1, reason="two were bad").version == 1

    # It went back past 2 and 3, and back to one of them is a way, too.
    with pytest.raises(RegistryError, match="no predecessor"):
        promotion.roll_back(root, reason="bad")
    tamper(root, 2)
    with pytest.raises(RegistryError, match=r"Version 2 cannot be loaded; .*loaded: 3\."):
        promotion.roll_back(root, 2, reason="bad")
    assert promotion.roll_back(root, 3, reason="it was better").version == 3


def test_promoting_what_serves_writes_no_row(root: Path) -> None:
    promote(root, 1)

    assert promote(root, 1) is None
    assert len(journal.rows(root)) == 1


def test_rolling_back_needs_a_champion(root: Path) -> None:
    with pytest.raises(NoChampion):
        promotion.roll_back(root, reason="bad")


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
        versions.resolve(root, uri)


def test_a_fetched_bundle_is_the_registered_one(root: Path, sha: list[str]) -> None:
    promote(root, 2)

    assert bundle_sha256(bundles.fetch_bundle(root)) == sha[1]
    assert bundle_sha256(bundles.fetch_bundle(root, "models:/emotion-recognition/1")) == sha[0]


def test_a_version_whose_files_are_gone_says_so(root: Path, tmp_path: Path) -> None:
    promote(root, 1)
    directory = bundles.fetch_bundle(root)
    moved = directory.rename(tmp_path / "away")
    try:
        with pytest.raises(DamagedVersion, match="are gone"):
            bundles.fetch_bundle(root)
    finally:
        moved.rename(directory)


def test_the_registered_model_answers_as_the_predictor_without_pickle(
    root: Path, trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    promote(root, 1)
    recording = next((trained.root / "data" / "raw" / "synthetic").rglob("*.wav"))
    samples, sr = soundfile.read(recording, dtype="float32")
    with store.as_default_store(root):
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
    directory = bundles.fetch_bundle(root, "models:/emotion-recognition/1").parents[1]

    files = {path.name for path in directory.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib", ".pt"))]
    assert {"pyfunc_model.py", "input_example.json", "requirements.txt"} <= files
    signature = mlflow.models.Model.load(str(directory)).signature
    # What a request may have is checked by the model, row by row.
    assert signature.inputs is None
    assert signature.outputs.input_names() == [
        "emotion",
        "confidence",
        "posteriors",
        "candidates",
        "novelty",
        "abstention",
        "abstention_detail",
        "error",
    ]
    example = json.loads((directory / "serving_input_example.json").read_text())
    assert len(json.dumps(example)) < 12_000


def test_a_project_that_was_moved_finds_its_bundles(prepared: Path, root: Path) -> None:
    shutil.copytree(prepared / "mlruns" / "artifacts", root / "mlruns" / "artifacts")
    away = prepared.rename(prepared.with_name("away"))
    try:
        promote(root, 1)
        assert bundles.fetch_bundle(root).is_relative_to(root)
    finally:
        away.rename(prepared)


def test_no_version_whose_files_were_changed_is_loaded_promoted_or_rolled_back_to(
    own_artifacts: Path,
) -> None:
    root = own_artifacts
    for number in (1, 2, 3):
        promote(root, number)
    tamper(root, 2)

    with pytest.raises(DamagedVersion, match="not what was registered") as caught:
        bundles.fetch_bundle(root, "models:/emotion-recognition/2")
    assert "\n" not in str(caught.value)
    with pytest.raises(DamagedVersion):
        promote(root, 2)
    assert versions.champion(root).version == 3
    assert promotion.roll_back(root, reason="bad").version == 1


def test_a_bundle_in_the_place_of_another_is_not_loaded(own_artifacts: Path) -> None:
    root = own_artifacts
    place, other = (bundles.fetch_bundle(root, versions.get_version(root, n)) for n in (1, 2))
    shutil.rmtree(place)
    shutil.copytree(other, place)

    with pytest.raises(DamagedVersion):
        bundles.fetch_bundle(root, "models:/emotion-recognition/1")


@pytest.mark.parametrize("tag", ["", "../../etc", "0" * 64])
def test_a_version_whose_hash_is_changed_is_not_loaded(root: Path, tag: str) -> None:
    client = store.connect(root)
    client.set_model_version_tag(versions.MODEL, "1", "bundle_sha256", tag)

    with pytest.raises(DamagedVersion):
        bundles.fetch_bundle(root, "models:/emotion-recognition/1")


def test_the_served_model_checks_its_own_files(own_artifacts: Path) -> None:
    root = own_artifacts
    tamper(root, 1)

    with (
        store.as_default_store(root),
        pytest.raises(DamagedVersion, match="not what was registered"),
    ):
        mlflow.pyfunc.load_model("models:/emotion-recognition/1")


def test_only_the_bundle_that_was_trained_is_registered(
    root: Path, prepared: Path, sha: list[str]
) -> None:
    with pytest.raises(RegistryError, match="not the bundle that was trained"):
        registration.register(
            root, prepared / "bundles" / "1", run_id="any", bundle_sha256=sha[1], scores={}
        )


def test_a_champion_that_cannot_serve_is_named_with_commands_that_mend_it(
    own_artifacts: Path,
) -> None:
    root = own_artifacts
    promote(root, 1)
    promote(root, 2)
    shutil.rmtree(bundles.fetch_bundle(root))
    today = versions.get_version(root, 3)

    with pytest.raises(DamagedVersion, match=r"ser roll-back.*version 1.*ser promote 3") as caught:
        promotion.check_champion(root, otherwise=today)

    assert "\n" not in str(caught.value)
    promotion.roll_back(root, reason="its files are gone")
    assert promotion.check_champion(root, otherwise=today).version == 1


def test_bundles_of_a_server_are_kept_in_the_project_and_are_few(
    root: Path, sha: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(bundles, "KEPT", 2)
    sources = {
        number: bundles.fetch_bundle(root, versions.get_version(root, number)).parents[1]
        for number in (1, 2, 3)
    }
    # As a server names them, where the artifacts are not on this machine.
    monkeypatch.setattr(bundles, "_source", lambda _, version: f"far://{sources[version.version]}")
    downloads = []

    def download(artifact_uri: str, dst_path: str) -> str:
        downloads.append(artifact_uri)
        copy = Path(dst_path) / "bundle"
        shutil.copytree(artifact_uri.removeprefix("far://"), copy)
        return str(copy)

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    monkeypatch.setattr(
        "mlflow.artifacts.list_artifacts",
        lambda artifact_uri: list(Path(artifact_uri.removeprefix("far://")).glob("*")),
    )
    for number in (1, 2, 3, 3):
        fetched = bundles.fetch_bundle(root, f"models:/emotion-recognition/{number}")
        assert bundle_sha256(fetched) == sha[number - 1]

    assert len(downloads) == 3
    assert sorted(path.name for path in (root / ".ser" / "bundles").iterdir()) == sorted(sha[1:])
    # A flow run with parameters of its own works in a worktree, which is deleted after.
    worktree = root / ".ser" / "worktrees" / "run"
    worktree.mkdir(parents=True)
    assert bundles.fetch_bundle(worktree, "models:/emotion-recognition/3") == fetched
    # A copy that has rotted is fetched again.
    (fetched / "bundle.json").write_text("{}")
    assert bundle_sha256(bundles.fetch_bundle(root, "models:/emotion-recognition/3")) == sha[2]
    assert not list(temporary.iterdir())
    sources[1] = tmp_path / "nowhere"
    with pytest.raises(DamagedVersion, match="are gone"):
        bundles.fetch_bundle(root, "models:/emotion-recognition/1")


def test_a_read_only_project_on_a_read_only_machine_predicts(
    root: Path, trained: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    promote(root, 1)
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).touch()
    recording = next((trained.root / "data" / "raw" / "synthetic").rglob("*.wav"))
    home = tmp_path_factory.mktemp("home")
    # Where numba keeps what it compiles of librosa, else.
    librosa = Path(find_spec("librosa").origin).parent
    mounts = " && ".join(f"mount --bind -o ro {p} {p}" for p in (root, home, librosa))
    namespace = ["unshare", "--mount", "sh", "-c"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*namespace, mounts], capture_output=True).returncode
    ):
        pytest.skip("nothing can be mounted read-only here: that takes root or its like")
    environment = {**os.environ, "HOME": str(home)}
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        environment.pop(name, None)

    predict = f"cd {root} && exec {sys.executable} -m ser.cli predict {recording}"
    done = subprocess.run(
        [*namespace, f"{mounts} && {predict}"], env=environment, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert str(recording) in done.stdout
    assert done.stderr == ""
