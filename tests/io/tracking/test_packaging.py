"""The registered model behind MLflow's own server, and what DVC links, registered."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile
from mlflow.exceptions import MlflowException
from mlflow.types.schema import Array, ColSpec, DataType, Schema
from starlette.testclient import TestClient

from ser.bundle import bundle_sha256, load_bundle
from ser.io.audio.read import load_mono
from ser.io.storage.traffic_files import read_traffic
from ser.io.tracking import runs, store
from ser.io.tracking.registry import bundles, registration, versions
from ser.io.tracking.registry.packaging import example_audio, requirements_of
from ser.predictor import Prediction, Predictor
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


def test_a_registration_that_was_cut_off_leaves_one_logged_model_and_one_version(
    linked: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ConnectionRefusedError

    _, bundle = linked
    with runs.start_run(tmp_path, name="train", params={}) as run:
        pass
    options: dict[str, Any] = {
        "run_id": run.run_id,
        "bundle_sha256": bundle_sha256(bundle),
        "scores": {},
        "record": {"seed": 1},
    }
    with monkeypatch.context() as broken:
        broken.setattr(registration, "write_record", away)
        with pytest.raises(ConnectionRefusedError):
            registration.register(tmp_path, bundle, **options)
    registration.register(tmp_path, bundle, **options)

    client, experiment = store.connect(tmp_path), store.prepare_store(tmp_path)
    assert len(client.search_logged_models([experiment])) == 1
    assert [v.version for v in versions.all_versions(tmp_path)] == [1]
    # Where a version's files are gone, its bundle is registered again; the version stays.
    registration.register(tmp_path, bundle, **options)
    assert len(client.search_logged_models([experiment])) == 2
    assert [v.version for v in versions.all_versions(tmp_path)] == [2, 1]


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


@pytest.fixture(scope="module")
def clip(trained: Project) -> Path:
    """A recording of the embedded corpus."""
    return next((trained.root / "data" / "raw" / "synthetic").rglob("*.wav"))


@pytest.fixture(scope="module")
def audio(clip: Path) -> str:
    return base64.b64encode(clip.read_bytes()).decode()


@pytest.fixture(scope="module")
def samples(clip: Path) -> dict[str, Any]:
    y, sr = load_mono(clip)
    return {"samples": y.tolist(), "sr": sr}


@pytest.fixture(scope="module")
def expected(linked: tuple[Path, Path], clip: Path) -> Prediction:
    y, sr = load_mono(clip)
    return Predictor(load_bundle(linked[1])).predict(y, sr=sr)


def is_like(row: dict[str, Any], expected: Prediction) -> bool:
    """Whether a row of the answer is this prediction."""
    refused = expected.abstention
    return (
        row["error"] is None
        and row["emotion"] == expected.emotion
        and row["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
        and row["posteriors"] == pytest.approx(expected.posteriors, abs=1e-6)
        and row["candidates"] == list(expected.candidates)
        and row["novelty"] == pytest.approx(expected.novelty)
        and row["abstention"] == (refused.reason if refused else None)
        and row["abstention_detail"] == (refused.detail if refused else None)
    )


def answered(served: TestClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = served.post("/invocations", json=body)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["predictions"]
    return rows


FORMS = {
    "records": lambda a, s: {"dataframe_records": [{"audio": a}, s]},
    "split": lambda a, s: {
        "dataframe_split": {
            "columns": ["audio", "samples", "sr"],
            "data": [[a, None, None], [None, s["samples"], s["sr"]]],
        }
    },
    "instances, audio": lambda a, s: {"instances": [{"audio": a}, {"audio": a}]},
    "instances, samples": lambda a, s: {"instances": [s, s]},
    "inputs, columns of audio": lambda a, s: {"inputs": {"audio": [a, a]}},
    "inputs, columns of samples": lambda a, s: {
        "inputs": {"samples": [s["samples"]] * 2, "sr": [s["sr"]] * 2}
    },
    "inputs, rows": lambda a, s: {"inputs": [{"audio": a}, s]},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_mlflow_s_is_answered_as_by_the_predictor(
    served: TestClient, audio: str, samples: dict[str, Any], expected: Prediction, form: str
) -> None:
    rows = answered(served, FORMS[form](audio, samples))

    assert len(rows) == 2
    assert all(is_like(row, expected) for row in rows)


def test_a_single_recording_may_stand_without_lists(
    served: TestClient, audio: str, samples: dict[str, Any], expected: Prediction
) -> None:
    for inputs in ({"audio": audio}, samples):
        (row,) = answered(served, {"inputs": inputs})
        assert is_like(row, expected)


def test_csv_is_answered(served: TestClient, audio: str, expected: Prediction) -> None:
    csv = f"audio\n{audio}\n{audio}\nno recording\n"

    answer = served.post("/invocations", content=csv, headers={"content-type": "text/csv"})

    assert answer.status_code == 200, answer.text
    *rows, bad = answer.json()["predictions"]
    assert len(rows) == 2
    assert all(is_like(row, expected) for row in rows)
    assert "base64" in bad["error"]


def test_no_speech_has_its_reason_in_a_word_and_in_a_sentence(served: TestClient) -> None:
    (row,) = answered(served, {"dataframe_records": [{"audio": example_audio()}]})

    assert (row["abstention"], row["emotion"], row["error"]) == ("no_speech", None, None)
    assert row["abstention_detail"].startswith("No speech was found")


def test_a_recording_over_the_limit_is_an_abstention(served: TestClient) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(301 * 8_000), 8_000, format="FLAC")
    long = base64.b64encode(buffer.getvalue()).decode()

    (row,) = answered(served, {"dataframe_records": [{"audio": long}]})

    assert row["abstention"] == "too_long"
    assert "301 s" in row["abstention_detail"]


BAD: dict[str, Any] = {
    "misspelt": {"dataframe_records": [{"adio": example_audio()}]},
    "misspelt beside audio": {"dataframe_records": [{"audio": example_audio(), "adio": 1}]},
    "misspelt in csv": f"adio\n{example_audio()}\n",
    "misspelt in instances": {"instances": [{"adio": example_audio()}]},
    "a path": {"dataframe_records": [{"path": "/data/clip.wav"}]},
    "a list": {"instances": [example_audio()]},
    "a list as inputs": {"inputs": [example_audio()]},
    "a list of lists": {"inputs": [[0.1, 0.2]]},
    "another mapping": {"inputs": {"adio": [example_audio()]}},
    "nothing": {"dataframe_records": []},
    "no rows": {"dataframe_split": {"columns": ["audio"], "data": []}},
    "split without columns": {"dataframe_split": {"columns": [], "data": [[]]}},
    "a column twice": {"dataframe_split": {"columns": ["audio"] * 2, "data": [["a", "b"]]}},
    "sr alone": {"dataframe_records": [{"sr": 16_000}]},
}
#: What a message names of those.
FOUND = {"a path": "path", "sr alone": "sr", "a column twice": "twice"}


@pytest.mark.parametrize("kind", BAD)
def test_a_request_of_another_form_is_refused_with_the_columns_found_and_expected(
    served: TestClient, kind: str
) -> None:
    body, is_csv = BAD[kind], isinstance(BAD[kind], str)
    answer = served.post(
        "/invocations",
        content=body if is_csv else json.dumps(body),
        headers={"content-type": "text/csv" if is_csv else "application/json"},
    )

    assert answer.status_code == 400, answer.text
    # MLflow puts the data before it.
    message = answer.json()["message"].rpartition("Error: ")[2]
    assert all(name in message for name in ("audio", "samples", "sr")), message
    name = "adio" if "misspelt" in kind or "mapping" in kind else FOUND.get(kind, "Found")
    assert name in message.partition("; expected")[0]
    assert "Traceback" not in answer.text
    assert "stack_trace" not in answer.json()


def test_instances_of_different_columns_are_refused_rather_than_mixed(
    served: TestClient, audio: str, samples: dict[str, Any]
) -> None:
    answer = served.post("/invocations", json={"instances": [{"audio": audio}, samples]})

    assert answer.status_code == 400
    assert "as dataframe_records" in answer.json()["message"]


BAD_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"audio": 5}, "audio is of type int"),
    ({"audio": ["a", "b"]}, "audio is of type list"),
    ({"audio": None}, "no audio"),
    ({"audio": "nöt base64!"}, "not base64"),
    ({"audio": "AAAA"}, "as no known recording does"),
    ({"audio": ""}, "empty"),
    ({"audio": "AAAA", "samples": [0.1, 0.2], "sr": 16_000}, "both audio and samples"),
    ({"samples": [0.1, 0.2]}, "no sr"),
    ({"samples": [], "sr": 16_000}, "samples are no flat list"),
    ({"samples": ["a"], "sr": 16_000}, "samples are no flat list"),
    ({"samples": [None, 0.1], "sr": 16_000}, "samples are no flat list"),
    ({"samples": [True, False], "sr": 16_000}, "samples are no flat list"),
    ({"samples": "[0.1, 0.2]", "sr": 16_000}, "samples are no flat list"),
    ({"samples": 0.5, "sr": 16_000}, "samples are no flat list"),
    ({"samples": [[0.1, 0.2], [0.1, 0.2]], "sr": 16_000}, "samples are no flat list"),
    ({"samples": [[0.1, 0.2], [0.1]], "sr": 16_000}, "samples are no flat list"),
    ({"samples": [0.1, float("nan")], "sr": 16_000}, "samples are no flat list"),
    ({"samples": [0.1] * 9_000, "sr": "high"}, "sr is 'high'"),
    ({"samples": [0.1] * 9_000, "sr": 16_000.5}, "sr is 16000.5"),
    ({"samples": [0.1] * 9_000, "sr": True}, "sr is True"),
    ({"samples": [0.1] * 9_000, "sr": 0}, "0 samples a second"),
    ({"samples": [0.1] * 9_000, "sr": -5}, "-5 samples a second"),
    ({"samples": [0.1] * 9_000, "sr": 10**12}, "samples a second"),
    ({"samples": [1e300] * 9_000, "sr": 16_000}, "finite"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_has_its_error_alone_and_among_others(
    served: TestClient,
    audio: str,
    samples: dict[str, Any],
    expected: Prediction,
    row: dict[str, Any],
    reason: str,
) -> None:
    alone, among = (
        served.post(
            "/invocations",
            content=json.dumps({"dataframe_records": records}),
            headers={"content-type": "application/json"},
        )
        for records in ([row], [{"audio": audio}, row, samples])
    )

    assert (alone.status_code, among.status_code) == (200, 200), among.text
    first, bad, last = among.json()["predictions"]
    assert is_like(first, expected)
    assert is_like(last, expected)
    assert alone.json()["predictions"] == [bad]
    assert reason in bad["error"]
    assert "\n" not in bad["error"]
    assert {name for name, value in bad.items() if value is not None} == {"error"}


def test_a_batch_larger_than_the_networks_take_at_once_keeps_its_order(
    served: TestClient, audio: str, samples: dict[str, Any], expected: Prediction
) -> None:
    records = [{"audio": "bad"} if n % 7 == 3 else {"audio": audio} for n in range(40)]

    rows = answered(served, {"dataframe_records": records})

    assert [row["error"] is None for row in rows] == [n % 7 != 3 for n in range(40)]
    assert all(is_like(row, expected) for row in rows if row["error"] is None)


def test_the_model_that_is_loaded_takes_a_table_and_a_list_of_rows(
    linked: tuple[Path, Path],
    version: versions.Version,
    audio: str,
    samples: dict[str, Any],
    expected: Prediction,
) -> None:
    with store.as_default_store(linked[0]):
        model = mlflow.pyfunc.load_model(f"models:/{versions.MODEL}/{version.version}")
    rows = [{"audio": audio}, samples, {"audio": "no recording"}]
    arrays = {"samples": [np.asarray(samples["samples"])], "sr": np.array([samples["sr"]])}

    for given in (pd.DataFrame(rows), rows):
        *good, bad = model.predict(given).to_dict("records")
        assert all(is_like(row, expected) for row in good)
        assert "base64" in bad["error"]
    (row,) = model.predict(pd.DataFrame(arrays)).to_dict("records")
    assert is_like(row, expected)
    with pytest.raises(MlflowException, match="adio is unknown"):
        model.predict(pd.DataFrame({"adio": [audio]}))


def test_a_version_of_an_older_release_answers_with_the_script_of_its_own(
    linked: tuple[Path, Path], version: versions.Version, tmp_path: Path, audio: str
) -> None:
    stored = bundles.fetch_bundle(linked[0], version).parents[1]
    older = shutil.copytree(stored, tmp_path / "older")
    former = Path(__file__).parents[2] / "support" / "former_pyfunc.py"
    shutil.copy(former, older / "pyfunc_model.py")
    stored_model = mlflow.models.Model.load(str(older))
    stored_model.signature = mlflow.models.ModelSignature(
        inputs=Schema(
            [
                ColSpec(DataType.string, "audio", required=False),
                ColSpec(Array(DataType.double), "samples", required=False),
                ColSpec(DataType.long, "sr", required=False),
            ]
        )
    )
    stored_model.save(older / "MLmodel")

    model = mlflow.pyfunc.load_model(str(older))

    (row,) = model.predict(pd.DataFrame({"audio": [audio]})).to_dict("records")
    assert list(row) == ["emotion", "confidence", "posteriors", "abstention"]


def test_answers_are_logged_as_figures_where_the_environment_names_a_folder(
    linked: tuple[Path, Path],
    version: versions.Version,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    audio: str,
    expected: Prediction,
) -> None:
    monkeypatch.setenv("SER_TRAFFIC", str(tmp_path / "log"))
    with store.as_default_store(linked[0]):
        model = mlflow.pyfunc.load_model(f"models:/{versions.MODEL}/{version.version}")

    model.predict(pd.DataFrame({"audio": [audio, "no recording", example_audio()]}))
    model.unwrap_python_model()._log.close()

    rows = read_traffic(tmp_path / "log")
    assert list(rows["source"]) == ["pyfunc", "pyfunc"]
    assert list(rows["bundle_sha256"]) == [bundle_sha256(linked[1])] * 2
    assert rows["confidence"][0] == pytest.approx(expected.confidence)
    assert rows["abstention"][1] == "no_speech"
    assert (rows["latency_ms"] > 0).all()


def test_nothing_is_logged_unless_the_environment_names_a_folder(
    linked: tuple[Path, Path],
    version: versions.Version,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    audio: str,
) -> None:
    monkeypatch.delenv("SER_TRAFFIC", raising=False)
    monkeypatch.chdir(tmp_path)
    with store.as_default_store(linked[0]):
        model = mlflow.pyfunc.load_model(f"models:/{versions.MODEL}/{version.version}")

    model.predict(pd.DataFrame({"audio": [audio]}))

    assert list(tmp_path.iterdir()) == []


def test_a_version_names_the_packages_that_it_needs(linked: tuple[Path, Path]) -> None:
    named = requirements_of(linked[1])

    assert {"ser-platform", "mlflow", "onnx", "onnxruntime", "safetensors"} <= set(named)
    assert not {"transformers", "peft"} & set(named)
