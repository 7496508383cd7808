"""`ser timeline` as it is typed."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.cli.insight.files import stems
from ser.core.timeline.comparison import compared
from ser.io.labels.writing import NEEDED
from ser.params.timeline import TimelineParams
from support.project import Project
from support.small_bundle import bundle_folder, spoken
from support.turns import timeline_of_turns

__all__ = ["bundle_folder", "spoken"]

SR = 16_000
HOWTO = Path(__file__).parents[2] / "docs/howto/timeline.md"


@pytest.fixture(scope="module")
def folder(spoken, tmp_path_factory):
    """A talk, the same as a call of two parties, and a file that is no recording."""
    folder = tmp_path_factory.mktemp("timeline recordings")
    talk = np.concatenate([part for _, _, y in spoken[:4] for part in (y, np.zeros(SR))])
    soundfile.write(folder / "the talk.wav", talk, SR)
    soundfile.write(folder / "talk.flac", talk, SR)
    soundfile.write(folder / "call.wav", np.stack([talk, np.roll(talk, 3 * SR)], axis=1), SR)
    (folder / "broken.wav").write_bytes(b"RIFF nothing")
    return folder


@pytest.fixture
def ser(folder, bundle_folder):
    def typed(*words):
        model = ["--model", str(bundle_folder)]
        done = Project(folder).call("ser.cli", "timeline", *model, *map(str, words))
        return done.returncode, done.stdout, done.stderr

    return typed


def test_a_summary_is_printed_and_a_broken_file_does_not_stop_the_others(ser, folder):
    status, out, err = ser(folder / "broken.wav", folder / "the talk.wav", folder / "call.wav")
    assert status == 1
    assert err.count("error:") == 1
    assert "broken.wav" in err
    assert "the talk.wav" in out.replace("\n", "")
    assert "left: speech" in out
    assert "2 recordings, in this order" in out
    assert max(map(len, out.splitlines())) <= 80


def test_text_formats_go_to_stdout_one_at_a_time(ser, folder):
    status, out, _ = ser(folder / "call.wav", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["schema"] == "ser.timeline/1"
    assert [channel["name"] for channel in found["channels"]] == ["left", "right"]
    assert found["model"]["bundle_sha256"]
    # In the same order and with the same bounds, whatever the format.
    status, out, _ = ser(folder / "call.wav", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    turns = [
        (channel["name"], f"{turn['start']:.3f}")
        for channel in found["channels"]
        for turn in channel["turns"]
    ]
    assert [(row["channel"], row["start"]) for row in rows] == turns
    status, _, err = ser(folder / "call.wav", "--csv", "--rttm")
    assert (status, "Give --out FOLDER" in err) == (2, True)
    status, out, _ = ser(folder / "call.wav", folder / "the talk.wav", "--json", "--channels=mix")
    assert [[c["name"] for c in one["channels"]] for one in json.loads(out)] == [["mix"], ["mono"]]


def test_a_folder_gets_every_format_and_serves_as_reference(ser, folder, tmp_path):
    status, _, err = ser(folder / "call.wav", "--out", tmp_path / "made")
    assert status == 0
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert {"call.timeline.json", "call.timeline.csv", "call.TextGrid", "call.rttm"} <= names
    assert {"call.labels.txt", "call.timeline.png", "call.timeline.html"} <= names
    assert err.count("written: ") == len(names)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "call.csv").write_text(
        (tmp_path / "made" / "call.timeline.csv").read_text()
    )
    status, out, _ = ser(folder / "call.wav", "--reference", tmp_path / "truth")
    assert status == 0
    assert "EDER 0.0" in out
    assert "majority class" in out


def test_what_cannot_be_done_is_a_line(ser, folder, tmp_path):
    assert ser(tmp_path / "none.wav")[0] == 2
    (tmp_path / "truth.rttm").write_text(
        "SPEAKER other 1 0 1 <NA> <NA> anger <NA> <NA>\n"
        "SPEAKER call 3 0 1 <NA> <NA> anger <NA> <NA>\n"
    )
    status, _, err = ser(folder / "call.wav", "--reference", tmp_path / "truth.rttm")
    assert status == 1
    assert "labels channel 3; the timeline has left, right" in err
    assert "Traceback" not in err


def test_the_error_rate_leaves_stdout_to_a_format(ser, folder, tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("channel,start,end,emotion\nleft,0,1,anger\nright,0,1,anger\n")
    status, out, err = ser(folder / "call.wav", "--reference", truth, "--json")
    assert status == 0, err
    assert json.loads(out)["schema"] == "ser.timeline/1"
    assert "EDER " in err
    status, out, err = ser(folder / "call.wav", "--reference", truth)
    assert "EDER " in out
    assert "EDER " not in err


def test_a_wrong_reference_does_not_stop_the_other_recordings(ser, folder, tmp_path):
    truth = tmp_path / "truth"
    truth.mkdir()
    (truth / "call.txt").write_text("0\t1\tcross\n")
    (truth / "talk.txt").write_text("0\t1\tanger\n")
    status, out, err = ser(folder / "call.wav", folder / "talk.flac", "--reference", truth)
    assert status == 1
    assert err.count("error: ") == 1
    assert "call.txt: line 1 has the unknown emotion 'cross'" in err
    assert "talk.flac" in out
    assert "call.wav" not in out, "it is read before the recording is analysed"


def test_a_file_that_cannot_be_written_does_not_lose_the_others(ser, folder, tmp_path):
    for name in ("call.timeline.json", "call.rttm"):
        (tmp_path / name).mkdir()
    (tmp_path / "call.timeline.json" / "kept").touch()
    status, out, err = ser(folder / "call.wav", folder / "talk.flac", "--out", tmp_path)
    assert status == 1
    assert err.count("error: ") == 2
    assert err.count("cannot be written") == 2
    made = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert {"call.timeline.csv", "call.timeline.html", "talk.timeline.json", "talk.rttm"} <= made
    assert "timelines.html" in made
    assert "speech" in out


def test_a_folder_that_cannot_be_made_is_found_before_the_work(ser, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ser.api.load", None)
    status, _, err = ser(folder / "call.wav", "--out", "/dev/null/made")
    assert (status, err.count("\n")) == (2, 1)
    assert "/dev/null/made cannot be written" in err


def test_a_format_without_its_extra_is_refused_before_the_work(ser, folder, monkeypatch):
    monkeypatch.setattr("ser.api.load", None)
    monkeypatch.setitem(NEEDED, "rttm", "no_such_package.core")
    status, _, err = ser(folder / "call.wav", "--rttm")
    assert (status, err.count("\n")) == (2, 1)
    assert "extra insight" in err


def test_a_name_that_is_no_utf_8_is_escaped_in_every_file(ser, folder, tmp_path):
    strange = tmp_path / "caf\udce9.wav"
    shutil.copy(folder / "the talk.wav", strange)
    status, _, err = ser(strange, "--out", tmp_path / "made")
    assert status == 0, err
    made = {path.suffix: path for path in (tmp_path / "made").iterdir()}
    assert {".json", ".csv", ".rttm", ".html", ".svg", ".png", ".TextGrid", ".txt"} <= made.keys()
    for suffix in (".csv", ".rttm", ".html"):
        assert "caf\\udce9" in made[suffix].read_text(encoding="utf-8")


def test_the_guide_names_the_parameters_as_they_are():
    text, params = " ".join(HOWTO.read_text().split()), TimelineParams()
    for words in (
        f"two pauses of {params.pause_seconds:g} s is one window up to {params.whole_seconds:g} s",
        f"windows of {params.window_seconds:g} s",
        f"for {params.stay_seconds:g} s of speech on average",
        f"for {params.stay_silence_seconds:g} s of silence",
    ):
        assert words in text


def test_products_of_several_recordings_do_not_overwrite_one_another(tmp_path):
    for names in (
        ("a/1.wav", "b/1.wav", "b/1.mp3", "c.wav"),
        ("c/1.wav", "d/1.wav", "c_1.wav"),
        ("x.wav", "x.mp3", "x-2.wav"),
        ("call.wav", "Call.wav"),
        ("call.wav", "call.wav"),
    ):
        found = [name.casefold() for name in stems([Path(name) for name in names])]
        assert len(set(found)) == len(names)
    assert stems([Path("call.wav"), Path("call.mp3"), Path("x.wav"), Path("x.wav")]) == [
        *("call_wav", "call_mp3", "x", "x-2"),
    ]
    assert stems([Path("a/1.wav"), Path("b/1.wav"), Path("b/1.mp3")]) == [
        "a_1",
        "b_1_wav",
        "b_1_mp3",
    ]
    assert stems([tmp_path / "a/1.wav", tmp_path / "b/1.wav"])[0].endswith("_a_1")
    assert not stems([tmp_path / "a/1.wav", tmp_path / "b/1.wav"])[0].startswith("/")


def test_recordings_are_compared_in_their_order_and_nobody_is_ranked():
    angry = [(0.0, 10.0, "anger")]
    weeks = [
        timeline_of_turns([(0.0, 10.0 - n, "neutral"), (10.0 - n, 10.0, "anger")], file=f"{n}.wav")
        for n in (3, 1, 2)
    ]
    found = compared(weeks)
    assert [row.file for row in found.rows] == ["3.wav", "1.wav", "2.wav"]
    assert found.drift["anger"] == pytest.approx(-0.05)
    call = timeline_of_turns(angry, [(0.0, 10.0, "neutral")])
    # Of two parties there is no drift from one to the other.
    assert compared([call] * 3).drift == {}
