"""`ser stress` as it is typed."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from ser import cli
from ser.bundle import save_bundle
from ser.params import parse_params
from ser.stages import synthesize
from ser.stress.page import BEGINS, ENDS
from support.small_corpus import VALUES, Corpus, prepared

COLUMNS = 80


@pytest.fixture
def ser(monkeypatch, capsys, tmp_path):
    """Type `ser …` outside any project; (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["ser", *map(str, words)])
        try:
            cli.main()
        except SystemExit as leaving:
            status = leaving.code or 0
        said = capsys.readouterr()
        return status, said.out, said.err

    return typed


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root, params = tmp_path_factory.mktemp("corpus"), parse_params(VALUES)
    synthesize.run(root, params)
    return prepared(root, params)


@pytest.fixture(scope="module")
def bundle_folder(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    save_bundle(corpus.learn(), folder)
    return folder


@pytest.fixture(scope="module")
def clips(corpus: Corpus, tmp_path_factory) -> Path:
    """Test recordings in a folder of each emotion, and one that is none."""
    folder = tmp_path_factory.mktemp("clips mit ü")
    for file, emotion in zip(corpus.test["file"], corpus.test["emotion"], strict=True):
        (folder / emotion).mkdir(exist_ok=True)
        shutil.copy(corpus.root / file, folder / emotion)
    return folder


#: A folder's labels are its folders' names, its speakers the beginning of each file's name.
LABELLED = ("--pattern", r"(?P<emotion>\w+)/(?P<speaker>spk\d+)_")


def test_the_table_fits_a_terminal_and_every_file_is_written(ser, bundle_folder, clips, tmp_path):
    files = {name: tmp_path / "out" / f"a.{name}" for name in ("json", "csv", "png", "md")}
    status, out, err = ser(
        *("stress", bundle_folder, "--folder", clips, *LABELLED, "--limit", 6),
        *("--rows", "tilt,small", "--json", files["json"], "--csv", files["csv"]),
        *("--figure", files["png"], "--page", files["md"]),
    )
    assert status == 0, err
    assert max(map(len, out.splitlines())) <= COLUMNS
    assert "…" not in out
    found = json.loads(files["json"].read_text())
    assert found["schema"] == "ser.stress/1"
    assert {row["family"] for row in found["rows"]} == {"small", "tilt"}
    assert found["utterances"] == 6
    assert found["chance"] == pytest.approx(1 / 6)
    table = pd.read_csv(files["csv"])
    assert len(table) == len(found["rows"]) + 1
    for row in found["rows"]:
        assert row["name"] in out
        assert f"| {row['name']} |" in files["md"].read_text()
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    assert files["md"].read_text().startswith(f"{BEGINS}\n")

    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n\n{BEGINS}\nold\n{ENDS}\n\nThe end.\n")
    status, _, err = ser(
        *("stress", bundle_folder, "--folder", clips, *LABELLED, "--limit", 6, "--rows", "tilt"),
        *("--page", page, "--against", files["json"]),
    )
    assert status == 0, err
    text = page.read_text()
    assert text.startswith("# Mine\n")
    assert text.endswith("The end.\n")
    assert "\nold\n" not in text
    uar = next(row["uar"] for row in found["rows"] if row["family"] == "tilt")
    assert f"{uar:.3f} → {uar:.3f}" in text


def test_strict_is_the_exit_status(ser, bundle_folder, clips):
    words = ("stress", bundle_folder, "--folder", clips, *LABELLED, "--limit", 6, "--rows", "tilt")
    assert ser(*words)[0] == 0
    status, out, _ = ser(*words, "--strict")
    assert status == (1 if "FAIL" in out else 0)


def test_without_labels_there_is_no_uar(ser, bundle_folder, clips, tmp_path):
    folder = tmp_path / "unknown"
    shutil.copytree(clips / "anger", folder)
    (folder / "broken.wav").write_bytes(b"RIFF")
    words = ("stress", bundle_folder, "--folder", folder, "--rows", "tilt", "--limit", 3)
    status, out, err = ser(*words, "--unlabelled")
    assert status == 0, err
    assert "no labels" in out
    assert "UAR as recorded" not in out
    assert "left out: broken.wav" in err
    status, _, err = ser(*words)
    assert status == 2
    assert "--unlabelled" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--folder", "nowhere"), "is not a folder"),
        (("--rows", "noises", "--folder", "."), "expected one of small, noise"),
        (("--corpus", "a", "--folds", "b"), "name one"),
        (("--unlabelled",), "--folder"),
        ((), "--corpus, --folder or --folds"),
        (("--folds", "none.parquet"), "does not exist. Name a folds table"),
    ],
)
def test_what_cannot_be_measured_is_one_line(ser, bundle_folder, words, said):
    status, out, err = ser("stress", bundle_folder, *words)
    assert status == 2
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--page", "page.md"), "page.md has text, but not the two lines"),
        (("--figure", "a.docx"), "a.docx has the suffix '.docx'"),
        (("--figure", "a"), "a has the suffix ''"),
        (
            ("--noise-folder", ".", "--rows", "tilt"),
            ". is for the family noise; asked for are tilt",
        ),
        (("--rir-folder", ".", "--rows", "noise"), "Add room to --rows"),
        (("--page", "p", "--against", "other.json"), "other.json has schema None"),
        (("--page", "p", "--against", "none.json"), "Name a file that `ser stress --json` wrote"),
        *(
            ((option, f"/dev/null/x{suffix}"), "cannot be written (Not a directory)")
            for option, suffix in (
                *(("--json", ""), ("--csv", ""), ("--page", "")),
                ("--figure", ".svg"),
            )
        ),
    ],
)
def test_what_cannot_be_written_or_shown_is_found_before_anything_is_done(
    ser, tmp_path, words, said
):
    (tmp_path / "page.md").write_text("# Mine\n")
    (tmp_path / "other.json").write_text("{}")
    status, out, err = ser("stress", "no model", "--folder", ".", *words)
    assert (status, out) == (2, "")
    assert said in err
    assert "dvc repro" not in err
    assert err.count("\n") == 1
    assert (tmp_path / "page.md").read_text() == "# Mine\n"


def test_speakers_that_the_model_was_trained_on_are_left_out(trained, ser, monkeypatch):
    monkeypatch.chdir(trained.root)
    status, out, err = ser(
        *("stress", "models/bundle", "--corpus", "synthetic", "--rows", "tilt", "--limit", 4)
    )
    assert status == 0, err
    assert "trained on their speakers" in err
    assert "of 2 speakers" in out


def test_the_model_s_own_test_split_is_the_default(trained, ser, monkeypatch):
    monkeypatch.chdir(trained.root)
    status, out, err = ser("stress", "models/bundle", "--rows", "tilt")
    assert status == 0, err
    uar = trained.json("reports/metrics.json")["test"]["uar"]
    assert f"UAR as recorded {uar:.3f}" in re.sub(r"\s+", " ", out)


def test_a_version_s_run_has_the_table_that_its_stage_made(trained):
    from ser.io.tracking import runs
    from ser.io.tracking.store import connect

    run_id = trained.json("reports/train.json")["run_id"]
    metrics = connect(trained.root).get_run(run_id).data.metrics
    table = trained.json("reports/stress.json")
    assert metrics["stress/as_recorded"] == pytest.approx(table["uar_clean"], abs=1e-4)
    assert metrics["unchanged/small_gain_-20_dB"] == table["rows"][0]["unchanged"]
    logged = runs.fetch_artifact(trained.root, run_id, "reports/stress.json")
    assert json.loads(logged.read_text()) == table


@pytest.mark.parametrize("words", [["stress"], ["explain", "a.wav"], ["predict", "a.wav"]])
@pytest.mark.parametrize("project", [(), ("params.yaml", "dvc.yaml")], ids=["none", "untrained"])
def test_without_a_champion_every_command_names_the_folder_that_may_be_given(
    ser, tmp_path, words, project
):
    for name in project:
        (tmp_path / name).write_text("{}\n")
    status, _, err = ser(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert err.endswith(", or name a bundle's folder (--model FOLDER; ser stress FOLDER).\n")
