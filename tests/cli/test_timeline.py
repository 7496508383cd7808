"""`ser timeline` as it is typed."""

import csv
import io
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.cli.insight.files import stems
from ser.core.timeline.comparison import compared
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


def guide_commands():
    lines = (line.partition("#")[0].strip() for line in HOWTO.read_text().splitlines())
    return [line for line in lines if line.startswith("ser timeline ")]


def test_the_guide_s_commands_run_as_they_stand(bundle_folder, folder, tmp_path):
    here = Project(shutil.copytree(folder, tmp_path / "here"))
    typed = guide_commands()
    assert len(typed) >= 7
    for line in typed:
        words, _, target = line.removeprefix("ser ").partition(">")
        model = ["--model", str(bundle_folder)]
        done = here.call("ser.cli", *shlex.split(words), *model)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert done.stdout or "written: " in done.stderr
        if target:
            assert json.loads(done.stdout)["schema"] == "ser.timeline/1"
    assert (here.root / "timelines/call.timeline.html").stat().st_size > 10_000


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
    files = [tmp_path / name for name in ("a/1.wav", "b/1.wav", "b/1.mp3", "c.wav")]
    assert len(set(stems(files).values())) == 4


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
