"""Bad recordings from the command line: named as they come in, sound bytes all the same."""

import io
import json
import shutil
import sys

import pytest

from ser import cli
from ser.errors import StageError
from ser.io.intake import dvc
from ser.params import DataParams, load_params
from ser.stages import manifest
from support.unfit import write_speech, write_unfit


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    write_speech(folder)
    write_unfit(folder)
    return folder


@pytest.fixture
def root(checkout, tmp_path, monkeypatch):
    shutil.copytree(checkout.root, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(dvc, "add", lambda root, path: None)
    return tmp_path / "project"


@pytest.fixture
def ser(root, monkeypatch, capsys):
    """Type `ser …`; (exit status, stdout, stderr)."""

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["ser", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        said = capsys.readouterr()
        return leaving.value.code or 0, said.out, said.err

    return typed


def test_add_names_them_verify_passes_and_info_counts_them(ser, root, calls):
    status, out, _ = ser("corpus", "add", "folder", calls, "--name", "calls")
    assert status == 0
    assert "Unfit for training: 5 noise, 1 channels cancel, 1 constant, 1 damaged" in out
    assert ", of 34 recordings.\n" in out
    assert "  silent: data/raw/calls/a/angry/silent.wav is digital silence" in out
    way = "params.yaml, below data, put `on_bad: drop` and `max_bad_share: 0.295`, or each of them"
    assert way in out
    assert out.rstrip().endswith("then `make run`.")
    assert ser("corpus", "verify", "calls")[:2] == (
        0,
        "calls: 34 recordings, each as it came in.\n",
    )

    params = load_params(root / "params.yaml")
    asked = {"corpora": ("calls",)}
    with pytest.raises(StageError) as stopped:
        manifest.run(root, params.model_copy(update={"data": DataParams(**asked)}), "calls")
    assert way in str(stopped.value)
    drop = {"corpora": ("calls",), "on_bad": "drop", "max_bad_share": 1.0}
    drop["exclude"] = ("calls/b/sad/0.wav",)
    params = params.model_copy(update={"data": params.data.model_copy(update=drop)})
    manifest.run(root, params, "calls")

    status, out, _ = ser("corpus", "verify", "calls")
    assert status == 0
    assert out.endswith(
        "calls: 34 recordings, each as it came in; 10 of them known to be unfit for training.\n"
    )
    (line,) = [x for x in ser("corpus", "info", "calls")[1].splitlines() if "left out" in x]
    assert "5 noise, 1 channels cancel, 1 constant, 1 damaged, 1 excluded, 1 silent" in line


def test_only_what_is_new_is_looked_at(ser, root, calls, tmp_path):
    ser("corpus", "add", "folder", calls, "--name", "calls")
    more = tmp_path / "more"
    write_speech(more)
    for path in list(more.rglob("*.wav")):
        path.rename(path.with_stem(f"late{path.stem}"))
    _, out, _ = ser("corpus", "add", "folder", more, "--name", "calls")
    assert "(24 of them new)" in out
    assert "Unfit" not in out


def test_a_corpus_s_declared_bad_recordings_stand_in_its_info(ser):
    assert "known bad   1076_MTI_SAD_XX (silent as published)" in ser("corpus", "info", "cremad")[1]


def test_audit_finds_the_same_and_gives_the_reasons(ser, calls):
    status, out, _ = ser("audit", calls, "--no-measure")
    assert status == cli.SOME_FAILED
    assert "Unfit for training: 5 noise, 1 channels cancel" in out
    found = json.loads(ser("audit", calls, "--no-measure", "--json")[1])
    assert found["recordings"] == 24
    assert {one["file"]: one["reason"] for one in found["bad"]} == write_unfit(calls)
