"""Bad recordings stop the stage `manifest`, or drop out of it by a declared rule; own files."""

import os
import shutil
from pathlib import PurePath

import pandas as pd
import pytest
import soundfile

from ser.benchmark.workspace import _content, prepare
from ser.core.utterance.segments import WHOLE
from ser.corpora.published.cremad import CREMAD
from ser.errors import ParamsError, StageError
from ser.io.intake import shelf
from ser.io.intake.own import add_own, prepare_own
from ser.params import parse_params
from ser.stages import gather, manifest, split
from support.unfit import waveforms, write_speech, write_unfit

SPEECH = 24


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A project with the corpus `calls`: 24 recordings of speech and 10 that are unfit."""
    root = tmp_path_factory.mktemp("calls")
    write_speech(root / "source")
    reasons = write_unfit(root / "source")
    own = prepare_own(root / "source", facts={"title": "calls"})
    add_own(own, root / "source", root / "data/raw/calls")
    return root, {f"data/raw/calls/{file}": reason for file, reason in reasons.items()}


@pytest.fixture
def root(corpus, tmp_path):
    shutil.copytree(corpus[0] / "data", tmp_path / "data")
    return tmp_path


def run(root, **data):
    params = parse_params({"data": {"corpora": ["calls"], **data}})
    manifest.run(root, params, "calls")
    return pd.read_parquet(root / "data/interim/manifests/calls.parquet")


def test_bad_recordings_stop_it_and_the_line_says_what_to_write(root, corpus, capsys):
    with pytest.raises(StageError, match=r"10 of 34 files fail, 29\.4% unfit") as caught:
        run(root)
    said = str(caught.value)
    assert "5 noise, 1 channels cancel, 1 constant, 1 damaged, 1 silent, 1 too short" in said
    assert "The first: data/raw/calls/a/angry/cancelling.wav has channels that cancel each" in said
    assert "below data, put `on_bad: drop` and `max_bad_share: 0.295`" in said
    assert "\n" not in said
    named = capsys.readouterr().out
    for file, reason in corpus[1].items():
        assert f"{reason}: {file}" in named
    assert not (root / "data/interim").exists()


def test_dropped_recordings_are_no_rows_and_are_listed_with_their_reasons(root, corpus, capsys):
    table = run(root, on_bad="drop", max_bad_share=0.295)
    assert len(table) == SPEECH
    assert {one.file: one.reason for one in shelf.left_out(root, "calls")} == corpus[1]
    assert "calls: left out are 5 noise, 1 channels cancel" in capsys.readouterr().out


def test_a_larger_share_than_allowed_stops_it_all_the_same(root):
    with pytest.raises(StageError, match=r"29\.4% .*more than data\.max_bad_share 0\.05 allows"):
        run(root, on_bad="drop")


def test_the_share_that_is_advised_is_enough_whatever_is_excluded(root):
    chosen = ["calls/a/angry/[a-k]*", "calls/b/*"]
    with pytest.raises(StageError, match=r"of 34 files fail.*max_bad_share: 0\.2"):
        run(root, exclude=chosen)
    run(root, exclude=chosen, on_bad="drop", max_bad_share=0.295)


def test_what_is_pasted_from_the_error_works(root):
    run(root, exclude=["calls/a/angry/[cdlos]*"])
    (root / "data/raw/calls/SHA256SUMS").unlink()
    shutil.copy(root / "data/raw/calls/a/angry/silent.wav", root / "data/raw/calls/b/sad/0.wav")
    with pytest.raises(StageError, match=r'`exclude: \["calls/b/sad/0\.wav"\]`'):
        run(root, exclude=["calls/a/angry/[cdlos]*"])
    table = run(root, exclude=["calls/a/angry/[cdlos]*", "calls/b/sad/0.wav"])
    assert len(table) == SPEECH - 1


def test_an_exclude_list_may_be_a_file_with_comments(root):
    (root / "leave.txt").write_text("# bad takes\n\ndata/raw/calls/a/angry/[a-z]*.wav\n")
    table = run(root, exclude="leave.txt")
    assert len(table) == SPEECH
    assert {one.reason for one in shelf.left_out(root, "calls")} == {"excluded"}


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        (["calls/a/angry/9.wav"], r"calls/a/angry/9\.wav, which matches no rec.*Did you mean cal"),
        (["calls/a/sad/damaged.wav"], r"Did you mean calls/a/angry/damaged\.wav\?"),
        (["cals/a/angry/silent.wav"], r"Did you mean calls/a/angry/silent\.wav\?"),
        (["silent.wav", "x"], r"2 such entries.*Did you mean calls/a/angry/silent\.wav\?"),
        ("none.txt", r"none\.txt, which is no file"),
        ("calls/a/angry/silent.wav", "is the recording calls/a.*Put brackets around it"),
    ],
)
def test_an_exclusion_of_nothing_is_an_error_with_what_was_meant(root, exclude, message):
    with pytest.raises(ParamsError, match=message):
        run(root, exclude=exclude)


def test_another_corpus_s_exclusions_do_not_concern_this_one(root):
    table = run(root, exclude=["cremad/x.wav", "calls/a/angry/[a-z]*"])
    assert len(table) == SPEECH


def test_bytes_that_changed_are_never_dropped(root):
    victim = root / "data/raw/calls/b/sad/0.wav"
    victim.write_bytes(victim.read_bytes()[:-100])
    with pytest.raises(StageError, match=r"b/sad/0\.wav has SHA-256 .*its bytes changed"):
        run(root, on_bad="drop", max_bad_share=1.0)


def test_the_features_window_decides_what_is_too_short(root):
    drop = {"corpora": ["calls"], "on_bad": "drop", "max_bad_share": 1.0}
    window = run(root, **drop)["duration"].median()
    features = {"n_fft": round(window * 16_000)}
    manifest.run(root, parse_params({"data": drop, "features": features}), "calls")
    short = [one for one in shelf.left_out(root, "calls") if one.reason == "too short"]
    assert len(short) > SPEECH / 3


def test_a_known_bad_recording_is_left_out_counted_and_named_without_a_rule(tmp_path, capsys):
    folder = tmp_path / "data/raw/cremad/AudioWAV"
    folder.mkdir(parents=True)
    for n, name in enumerate(("1076_MTI_SAD_XX", "1076_MTI_NEU_XX", "1001_DFA_ANG_XX")):
        y = waveforms()["silent"][1] if n == 0 else waveforms()["cancelling"][1][:, 0]
        soundfile.write(folder / f"{name}.wav", y, 16_000)
    assert "1076_MTI_SAD_XX" in CREMAD.known_bad
    manifest.run(tmp_path, parse_params({"data": {"corpora": ["cremad"]}}), "cremad")
    (one,) = shelf.left_out(tmp_path, "cremad")
    assert one.reason == "known bad"
    said = capsys.readouterr().out
    assert "known bad: data/raw/cremad/AudioWAV/1076_MTI_SAD_XX.wav is silent" in said
    assert "cremad: 2 utterances" in said


def test_the_receipt_counts_what_was_left_out_by_corpus_and_reason(root):
    data = {"corpora": ["calls"], "exclude": ["calls/a/angry/[acdlo]*"], "on_bad": "drop"}
    data["max_bad_share"] = 0.1
    params = parse_params({"data": data})
    manifest.run(root, params, "calls")
    gather.run(root, params)
    split.run(root, params)
    receipt = pd.read_json(root / "data/interim/audit.json", typ="series")
    assert receipt["left_out"] == {"calls": {"excluded": 8, "silent": 1, "too short": 1}}


def test_what_became_a_pipe_is_named_and_not_waited_for(root):
    os.mkfifo(root / "data/raw/calls/a/angry/p.wav")
    found = manifest._decoded(root, PurePath("data/raw/calls/a/angry/p.wav"), [WHOLE], "0" * 64)
    assert "no regular file" in found.why


def test_a_benchmark_notices_another_high_pass_filter(root):
    raw = root / "data/raw/calls"
    one, other = ({"features": {"high_pass_hz": hz}} for hz in (70.0, 100.0))
    assert _content(raw, parse_params(one)) != _content(raw, parse_params(other))


def test_a_benchmark_leaves_out_the_same_and_notices_another_rule(root):
    leave = root / "leave.txt"
    leave.write_text("calls/a/angry/[a-z]*\n")
    params = parse_params({"data": {"corpora": ["calls"], "exclude": "leave.txt"}})

    def files():
        table = pd.read_parquet(
            prepare(root, params) / "data/interim/manifests/calls.parquet", columns=["file"]
        )
        return set(table["file"])

    before = files()
    assert len(before) == SPEECH
    leave.write_text("calls/a/angry/[a-z]*\ncalls/b/sad/0.wav\n")
    assert before - files() == {"data/raw/calls/b/sad/0.wav"}
    with pytest.raises(StageError, match="10 of 34 files fail"):
        prepare(root, parse_params({"data": {"corpora": ["calls"]}}))
