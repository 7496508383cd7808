"""The registered model behind MLflow's own server, and what DVC links, registered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from starlette.testclient import TestClient

from ser.bundle import bundle_sha256
from ser.io.tracking import runs, store
from ser.io.tracking.registry import bundles, registration, versions
from ser.io.tracking.registry.packaging import example_audio
from support.project import Project


@pytest.fixture(scope="module")
def linked(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project, and a bundle in it whose files are links into a read-only cache, as DVC's."""
    root = tmp_path_factory.mktemp("linked")
    cache, bundle = root / "cache", root / "models" / "bundle"
    cache.mkdir()
    bundle.mkdir(parents=True)
    for number, file in enumerate((trained.root / "models" / "bundle").iterdir()):
        held = cache / str(number)
        held.write_bytes(file.read_bytes())
        held.chmod(0o444)
        (bundle / file.name).symlink_to(held)
    return root, bundle


@pytest.fixture(scope="module")
def version(linked: tuple[Path, Path]) -> versions.Version:
    root, bundle = linked
    with runs.start_run(root, name="train", params={}) as run:
        pass
    return registration.register(
        root, bundle, run_id=run.run_id, bundle_sha256=bundle_sha256(bundle), scores={}
    )


@pytest.fixture(scope="module")
def served(linked: tuple[Path, Path], version: versions.Version) -> Iterator[TestClient]:
    from mlflow.pyfunc import scoring_server

    with (
        pytest.MonkeyPatch.context() as patch,
        store.as_default_store(linked[0]),
    ):
        # MLflow's server sets it for good.
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
        model = mlflow.pyfunc.load_model(f"models:/{versions.MODEL}/{version.version}")
        yield TestClient(scoring_server.init(model))


def test_what_dvc_links_is_registered_as_files_of_its_own(
    linked: tuple[Path, Path], version: versions.Version
) -> None:
    root, bundle = linked
    registered = bundles.fetch_bundle(root, version)

    assert bundle_sha256(registered) == bundle_sha256(bundle)
    assert not any(path.is_symlink() for path in registered.iterdir())
    # A cache's file is read-only and may be deleted; neither holds for the copy.
    assert all(path.stat().st_mode & 0o200 for path in registered.iterdir())
    assert all(path.is_symlink() for path in bundle.iterdir())


def test_the_server_answers_an_utterance(served: TestClient, trained: Project) -> None:
    records = [{"audio": example_audio()}, {"samples": [0.1, -0.1] * 8000, "sr": 16000}]

    answer = served.post("/invocations", json={"dataframe_records": records[:1]})
    from_samples = served.post("/invocations", json={"dataframe_records": records[1:]})

    assert (answer.status_code, from_samples.status_code) == (200, 200), answer.text
    assert [row["abstention"] for row in answer.json()["predictions"]] == ["no_speech"]


BAD: dict[str, Any] = {
    "misspelt": {"dataframe_records": [{"adio": example_audio()}]},
    "a path": {"dataframe_records": [{"path": "/data/clip.wav"}]},
    "a list": {"instances": [example_audio()]},
    "a list as inputs": {"inputs": [example_audio()]},
    "a list of lists": {"inputs": [[0.1, 0.2]]},
    "another mapping": {"inputs": {"adio": [example_audio()]}},
    "nothing": {"dataframe_records": []},
    "split without columns": {"dataframe_split": {"columns": [], "data": [[]]}},
    "a number as audio": {"dataframe_records": [{"audio": 5}]},
    "a list as audio": {"dataframe_records": [{"audio": ["a", "b"]}]},
    "no audio": {"dataframe_records": [{"audio": None}]},
    "no sr": {"dataframe_records": [{"samples": [0.1, 0.2]}]},
    "no base64": {"dataframe_records": [{"audio": "nöt base64!"}]},
}


#: MLflow itself refuses these, by the signature.
MISTYPED: dict[str, Any] = {
    "words as samples": {"dataframe_records": [{"samples": ["a"], "sr": 16000}]},
    "a number as samples": {"dataframe_records": [{"samples": 0.5, "sr": 16000}]},
    "a word as sr": {"dataframe_records": [{"samples": [0.1, 0.2], "sr": "high"}]},
    "stereo": {"dataframe_records": [{"samples": [[0.1, 0.2], [0.1, 0.2]], "sr": 16000}]},
}


@pytest.mark.parametrize("kind", BAD)
def test_a_request_of_another_form_is_refused_with_the_columns_expected(
    served: TestClient, kind: str
) -> None:
    answer = served.post("/invocations", json=BAD[kind])

    assert answer.status_code == 400, answer.text
    message = answer.json()["message"]
    assert all(name in message for name in ("audio", "samples", "sr")), message
    assert "Traceback" not in answer.text
    assert "stack_trace" not in answer.json()


@pytest.mark.parametrize("kind", MISTYPED)
def test_a_value_of_another_type_is_refused_with_its_column_and_the_type_expected(
    served: TestClient, kind: str
) -> None:
    answer = served.post("/invocations", json=MISTYPED[kind])

    assert answer.status_code == 400, answer.text
    column = "sr to type 'int64'" if kind == "a word as sr" else "samples to type 'Array(double)'"
    assert f"column {column}" in answer.json()["message"]
    assert "stack_trace" not in answer.json()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"audio": "AAAA"}, "audio"),
        ({"audio": ""}, "empty"),
        ({"samples": [0.1] * 100, "sr": 0}, "0 samples a second"),
        ({"samples": [0.1] * 100, "sr": -5}, "-5 samples a second"),
        ({"samples": [0.1] * 100, "sr": 10**12}, "samples a second"),
    ],
)
def test_bad_audio_is_refused_in_our_own_words(
    served: TestClient, row: dict[str, Any], reason: str
) -> None:
    answer = served.post("/invocations", json={"dataframe_records": [row]})

    assert answer.status_code == 400, answer.text
    assert "Row 1: " in answer.json()["message"]
    assert reason in answer.json()["message"]
    assert "stack_trace" not in answer.json()


def test_samples_that_are_not_finite_are_refused(served: TestClient) -> None:
    content = json.dumps({"dataframe_records": [{"samples": [float("nan")] * 9, "sr": 16000}]})

    answer = served.post(
        "/invocations", content=content, headers={"content-type": "application/json"}
    )

    assert answer.status_code == 400, answer.text
    assert "finite" in answer.json()["message"]
