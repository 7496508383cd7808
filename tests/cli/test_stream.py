"""`ser stream` as it is typed: recordings, microphones, pipes; here and through a server."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from ser.bundle import load_bundle
from ser.cli.live.lines import final_line
from ser.cli.live.recorders import RECORDERS
from ser.cli.live.sources import FileSource
from ser.cli.live.view import View
from ser.client import Abstention, Measurement, UtteranceEnded, UtteranceStarted
from ser.core.utterance.waveform import resample
from ser.predictor import Predictor
from support.serving import Server, serving

SR = 16_000
HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "stream.md"


@pytest.fixture(scope="module")
def bundle(trained) -> Path:
    return trained.root / "models/bundle"


@pytest.fixture(scope="module")
def predictor(bundle) -> Predictor:
    return Predictor(load_bundle(bundle))


@pytest.fixture(scope="module")
def talk(trained) -> np.ndarray:
    """Three sentences with pauses, int16 at 16 kHz."""
    clips = sorted((trained.root / "data/raw/synthetic").rglob("*.wav"))[:3]
    pause = np.zeros(SR, np.int16)
    spoken = [soundfile.read(clip, dtype="int16")[0] for clip in clips]
    return np.concatenate([part for y in spoken for part in (y, pause)])


@pytest.fixture(scope="module")
def folder(talk, trained, tmp_path_factory) -> Path:
    """Where the recordings of docs/howto/stream.md lie, and a recorder that gives `talk.raw`."""
    folder = tmp_path_factory.mktemp("talk")
    soundfile.write(folder / "talk.wav", talk, SR)
    soundfile.write(folder / "talk.flac", talk, SR)
    soundfile.write(folder / "clip.wav", talk[: 2 * SR], SR)
    soundfile.write(folder / "call.wav", np.stack([talk, np.roll(talk, SR // 2)], axis=1), SR)
    (folder / "talk.raw").write_bytes(talk.tobytes())
    program(folder / "bin" / "arecord", f'echo "$@" > {folder}/words; cat {folder}/talk.raw')
    return folder


@pytest.fixture
def ser(folder, bundle):
    """Type `ser stream …` beside the recordings; (exit status, stdout, stderr)."""

    def typed(*words, path=None, **options):
        done = subprocess.run(
            [*command(bundle), *map(str, words)],
            cwd=folder,
            env=environment(folder / "bin" if path is None else path),
            capture_output=True,
            **({"stdin": subprocess.DEVNULL} | options),
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return typed


@pytest.fixture(scope="module")
def server(bundle, tmp_path_factory) -> Iterator[Server]:
    with serving(bundle, tmp_path_factory.mktemp("served")) as running:
        yield running


def command(bundle):
    model = ["--model", str(bundle)] if bundle else []
    return [sys.executable, "-m", "ser.cli", "stream", *model]


def environment(path):
    # Programs of the machine, but none that records.
    usual = os.environ["PATH"].split(os.pathsep)
    names = [recorder.program for recorder in RECORDERS]
    without = [d for d in usual if not any((Path(d) / name).exists() for name in names)]
    source = str(Path(__file__).parents[2] / "src")
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(path), *without, str(path / "plain")]),
        "PYTHONPATH": source,
        "COLUMNS": "100",
    }


def program(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.parent / "plain"
    plain.mkdir(exist_ok=True)
    for name in ("sh", "cat", "sleep", "echo"):
        if not (plain / name).exists():
            (plain / name).symlink_to(shutil.which(name))
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def finals(out):
    events = map(json.loads, out.splitlines())
    return [e for e in events if e.get("trigger") == "speech_ended"]


def assert_same(some, others):
    keys = ("channel", "start_sample", "stop_sample", "label")
    assert [[one[k] for k in keys] for one in some] == [[one[k] for k in keys] for one in others]
    for one, other in zip(some, others, strict=True):
        assert one["posteriors"] == pytest.approx(other["posteriors"], abs=1e-6)


@pytest.fixture(scope="module")
def expected(bundle, folder):
    """The finals of talk.wav."""
    done = subprocess.run(
        [*command(bundle), "talk.wav", "--fast", "--json-lines"],
        cwd=folder,
        env=environment(folder / "bin"),
        capture_output=True,
        check=True,
    )
    return finals(done.stdout)


def test_each_utterance_is_what_the_predictor_says_of_its_samples(expected, talk, predictor):
    assert len(expected) >= 3
    for final in expected:
        y = talk[final["start_sample"] : final["stop_sample"]].astype(np.float32) / 2**15
        prediction = predictor.predict(y, sr=SR)
        assert final["label"] == prediction.emotion
        assert final["posteriors"] == pytest.approx(prediction.posteriors, abs=1e-6)


def test_elsewhere_than_on_a_terminal_an_utterance_is_a_line(ser, expected):
    status, out, err = ser("talk.flac", "--fast")
    assert (status, err) == (0, "")
    lines = [line for line in out.splitlines() if not line.startswith("  ")]
    assert len(lines) == len(expected)
    for line, final in zip(lines, expected, strict=True):
        words = line.split()
        assert re.fullmatch(r"0:\d\d\.\d-0:\d\d\.\d", words[0])
        assert words[1] == (final["label"] or final["abstention"]["reason"])


def test_the_line_of_an_utterance():
    anger = measured("anger", {"fear": 0.31, "anger": 0.62, "neutral": 0.07}, ("anger", "fear"))
    assert final_line(anger, channels=1) == (
        "0:03.0-0:05.5  anger          0.62  fear 0.31  |  neutral 0.07"
    )
    assert final_line(anger, channels=2).startswith("2  0:03.0-0:05.5  anger ")
    unsure = measured(None, {"fear": 0.5, "anger": 0.5}, (), Abstention("unsure", "\x1b[2J."))
    assert final_line(unsure, channels=1) == (
        "0:03.0-0:05.5  unsure         fear 0.50  anger 0.50\n  \\x1b[2J."
    )
    mute = measured(None, {}, (), Abstention("no_speech", "Nobody speaks."))
    assert final_line(mute, channels=1) == "0:03.0-0:05.5  no_speech\n  Nobody speaks."


def measured(label, posteriors, candidates, abstention=None, trigger="speech_ended", channel=1):
    return Measurement(
        channel=channel,
        trigger=trigger,
        audio_start_ms=3_000,
        audio_end_ms=5_520,
        start_sample=48_000,
        stop_sample=88_320,
        label=label,
        confidence=max(posteriors.values(), default=None),
        posteriors=posteriors,
        smoothed=posteriors,
        candidates=candidates,
        abstention=abstention,
    )


def test_json_lines_hold_every_event_in_order(ser):
    status, out, _ = ser("talk.wav", "--fast", "--json-lines")
    assert status == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert {event["file"] for event in events} == {"talk.wav"}
    kinds = [event["type"] for event in events]
    assert kinds[0] == "utterance.start"
    assert kinds[-1] == "session.closed"
    assert any(event.get("trigger") == "interval" for event in events)
    assert events[-1]["totals"]["dropped_ms"] == 0


def test_a_party_of_a_call_gets_what_it_gets_alone(ser, expected):
    both = finals(ser("call.wav", "--call", "--fast", "--json-lines")[1])
    assert_same([one for one in both if one["channel"] == 0], expected)
    assert {one["channel"] for one in both} == {0, 1}
    assert_same(both, finals(ser("call.wav", "--channels", 2, "--fast", "--json-lines")[1]))
    # A mono recording has one party.
    assert_same(finals(ser("talk.wav", "--call", "--fast", "--json-lines")[1]), expected)


def test_a_recorder_is_asked_for_the_samples_of_the_stream(ser, folder, expected):
    status, out, err = ser("--mic", "--json-lines", "--device", "hw:1")
    assert status == 0
    # The script gives all at once: intervals are left out, utterances are not.
    assert_same(finals(out), expected)
    assert (folder / "words").read_text().split() == (
        ["-q", "-t", "raw", "-f", "S16_LE", "-r", "16000", "-c", "1", "-D", "hw:1"]
    )
    first = err.splitlines()[0]
    assert first == (
        "Recording the microphone (arecord) until Ctrl-C, with the consent of all who speak: it is "
        "measured here, and no audio is stored."
    )


@pytest.mark.parametrize("recorder", RECORDERS[1:], ids=lambda recorder: recorder.program)
def test_any_recorder_will_do(ser, folder, tmp_path, expected, recorder):
    program(tmp_path / recorder.program, f'echo "$@" > words; cat {folder}/talk.raw')
    status, out, err = ser("--mic", "--json-lines", path=tmp_path)
    assert status == 0, err
    assert_same(finals(out), expected)
    assert f"({recorder.program})" in err


def test_the_python_package_records_before_any_program(folder, bundle, tmp_path, expected):
    (tmp_path / "sounddevice.py").write_text(
        "PortAudioError = OSError\n"
        "class RawInputStream:\n"
        "    read_available = 0\n"
        "    def __init__(self, **options):\n"
        "        assert options == dict(samplerate=16000, channels=1, dtype='int16', device=3)\n"
        f"        self.file = open({str(folder / 'talk.raw')!r}, 'rb')\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *_): self.file.close()\n"
        "    def read(self, n):\n"
        "        if not (data := self.file.read(2 * n)): raise PortAudioError('unplugged')\n"
        "        return data, False\n"
    )
    own = environment(folder / "bin")
    own["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    done = subprocess.run(
        [*command(bundle), "--mic", "--json-lines", "--device", "3"],
        cwd=folder,
        env=own,
        capture_output=True,
        text=True,
    )
    assert "(sounddevice)" in done.stderr
    assert "sounddevice records nothing (unplugged)" in done.stderr
    assert done.returncode == 2
    got = finals(done.stdout)
    assert_same(got, expected[: len(got)])
    assert got


def test_without_a_recorder_one_line_says_what_to_install(ser, tmp_path):
    status, out, err = ser("--mic", path=tmp_path)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "Install alsa-utils" in err


def test_a_recorder_that_fails_is_one_line_with_its_words(ser, tmp_path):
    program(tmp_path / "arecord", "echo 'audio open error: No such file' >&2; exit 1")
    status, out, err = ser("--mic", path=tmp_path)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == (
        "error: arecord records nothing (audio open error: No such file); expected a microphone. "
        "Name another with --device."
    )
    assert "Traceback" not in err


def test_raw_samples_come_through_a_pipe(ser, folder, expected):
    with open(folder / "talk.raw", "rb") as raw:
        status, out, err = ser("-", "--fast", "--json-lines", stdin=raw)
    assert (status, err) == (0, "")
    assert_same(finals(out), expected)
    with open(folder / "talk.wav", "rb") as wav:
        status, out, err = ser("-", "--fast", stdin=wav)
    assert (status, out) == (1, "")
    assert "raw s16le samples at 16 kHz" in err


def test_ctrl_c_prints_the_open_utterance_and_ends_the_recorder(folder, bundle, talk, tmp_path):
    (tmp_path / "begun.raw").write_bytes(talk[: round(1.8 * SR)].tobytes())
    begin = f"echo $$ > {tmp_path}/pid; cat {tmp_path}/begun.raw"
    program(tmp_path / "arecord", f"{begin}; exec sleep 60")
    with subprocess.Popen(
        [*command(bundle), "--mic", "--json-lines"],
        cwd=folder,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert json.loads(process.stdout.readline())["type"] == "utterance.start"
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    (final,) = finals(out)
    assert final["start_sample"] == 0
    assert json.loads(out.splitlines()[-1])["type"] == "session.closed"
    assert err.count("\n") == 1
    recorder = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(recorder, 0)


def test_an_interrupted_recording_says_that_it_is_not_complete(folder, bundle):
    with subprocess.Popen(
        [*command(bundle), "talk.wav", "--json-lines"],
        cwd=folder,
        env=environment(folder / "bin"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "error: interrupted; what is printed stands.\n")


def test_a_reader_who_leaves_is_no_error(folder, bundle):
    with subprocess.Popen(
        [*command(bundle), "talk.wav", "talk.wav", "--fast", "--json-lines"],
        cwd=folder,
        env=environment(folder / "bin"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 1


def test_a_server_gives_the_utterances_that_are_found_here(folder, server, expected):
    for words in (["talk.wav", "--fast"], ["-", "--fast"], ["--mic"]):
        with open(folder / "talk.raw", "rb") as raw:
            done = subprocess.run(
                [*command(None), *words, "--url", server.address, "--json-lines"],
                cwd=folder,
                env=environment(folder / "bin"),
                stdin=raw,
                capture_output=True,
                text=True,
            )
        assert done.returncode == 0, done.stderr
        assert_same(finals(done.stdout), expected)
    assert f"it is sent to {server.address}, and measured there" in done.stderr


def test_where_no_server_is_nothing_is_recorded(folder):
    (folder / "words").unlink(missing_ok=True)
    done = subprocess.run(
        [*command(None), "--mic", "--url", "http://127.0.0.1:9"],
        cwd=folder,
        env=environment(folder / "bin"),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: http://127.0.0.1:9 cannot be reached")
    assert not (folder / "words").exists()


def test_a_file_that_fails_does_not_stop_the_others(ser, expected):
    status, out, err = ser("none.wav", "talk.wav", "--fast")
    assert status == 1
    assert err.count("\n") == 1
    assert err.startswith("error: none.wav cannot be read")
    assert out.splitlines()[0] == "talk.wav:"
    assert len([line for line in out.splitlines() if line[0] == "0"]) == len(expected)


def test_nobody_who_speaks_is_said_on_stderr(ser, folder):
    soundfile.write(folder / "silence.wav", np.zeros(2 * SR, np.int16), SR)
    assert ser("silence.wav", "--fast") == (0, "", "No utterance in silence.wav.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a recording, - for stdin, or --mic"),
        (["--mic", "talk.wav"], "expected one of them"),
        (["talk.wav", "--device", "x"], "give --mic, too"),
        (["talk.wav", "--url", "http://127.0.0.1:9"], "give one of them"),
    ],
)
def test_options_that_contradict_are_refused(ser, words, said):
    status, out, err = ser(*words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_channels_that_are_not_there_are_refused(ser, folder):
    soundfile.write(folder / "four.wav", np.zeros((SR, 4), np.int16), SR)
    status, _, err = ser("four.wav", "talk.wav", "--channels", 2, "--fast")
    assert status == 1
    assert "four.wav has 4 channels; expected 2, a party each" in err
    assert "talk.wav has 1 channels; expected 2, a party each" in err
    assert ser("four.wav", "--fast") == (0, "", "No utterance in four.wav.\n")


@pytest.mark.parametrize(("name", "sr"), [("a.wav", 8_000), ("a.flac", 44_100), ("a.ogg", 48_000)])
def test_blocks_of_a_recording_are_the_whole_recording(tmp_path, name, sr):
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.standard_normal((3 * sr, 2)), axis=0)
    soundfile.write(tmp_path / name, 0.5 * y / np.abs(y).max(), sr)
    decoded, _ = soundfile.read(tmp_path / name, dtype="float32")
    chunks = list(FileSource(tmp_path / name, channels=2, fast=True))
    assert {len(chunk) for chunk in chunks[:-1]} == {1600}
    got = np.concatenate(chunks).astype(np.float32) / 2**15
    for channel in range(2):
        whole = resample(decoded[:, channel].copy(), sr_in=sr, sr_out=SR)
        assert len(got) == pytest.approx(len(whole), abs=1)
        n = min(len(got), len(whole))
        np.testing.assert_allclose(got[:n, channel], whole[:n], atol=1e-3)
    mixed = np.concatenate(list(FileSource(tmp_path / name, channels=1, fast=True)))
    np.testing.assert_allclose(mixed[:, 0] / 2**15, got.mean(axis=1), atol=1e-4)


def test_a_long_recording_is_read_as_it_is_taken(tmp_path):
    path = tmp_path / "hours.wav"
    with soundfile.SoundFile(path, "w", SR, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros(60 * SR, np.int16))
    chunks = iter(FileSource(path, channels=1, fast=True))
    peak = max(len(next(chunks)) for _ in range(20))
    assert peak == 1600


def test_a_recording_goes_at_the_pace_of_speech(folder):
    source = FileSource(folder / "clip.wav", channels=1, fast=False)
    began = time.monotonic()
    ends = [(time.monotonic() - began, source.position / SR) for _ in source]
    assert all(now >= position - 0.11 for now, position in ends)
    assert ends[-1][1] == 2.0


def test_what_became_due_meanwhile_comes_at_once(folder):
    sizes = []
    for chunk in FileSource(folder / "clip.wav", channels=1, fast=False):
        sizes.append(len(chunk))
        if len(sizes) == 1:
            time.sleep(1.0)
    assert max(sizes) >= 10 * 1600
    assert sum(sizes) == 2 * SR


def test_a_terminal_shows_the_present_of_each_channel(folder):
    console = Console(file=io.StringIO(), force_terminal=True, width=82, color_system=None)
    view = View(FileSource(folder / "call.wav", channels=2, fast=True), console)
    view.show(UtteranceStarted(0, 0, 0))
    view.show(measured("fear", {"fear": 0.8, "calm": 0.2}, ("fear",), None, "interval", 0))
    with console.capture() as shown:
        console.print(view.render())
    text = shown.get()
    head, fear, calm = text.splitlines()[1:4]
    assert "● " in head
    assert "fear" in head
    assert "○ " in head
    assert "nobody speaks" in head
    assert (fear.count("█"), calm.count("█")) == (17, 4)
    assert "0.80" in fear
    with console.capture() as shown:
        view.show(measured("anger", {"anger": 0.6, "fear": 0.4}, ("anger", "fear"), None))
        view.show(UtteranceEnded(1, 5_520, 0, 0, "silence"))
    assert shown.get().rstrip() == "2  0:03.0-0:05.5  ■ anger        0.60   or fear 0.40"


def test_help_teaches_with_examples(ser):
    status, out, _ = ser("--help")
    assert status == 0
    assert "ser stream --mic" in out
    assert "ser stream call.wav --call --fast" in out


def test_real_speech_is_cut_and_measured_alike_here_and_by_a_server(
    real_corpora, folder, bundle, server, tmp_path
):
    clips = sorted((real_corpora / "ravdess").rglob("*.flac"))[4:16:4]
    y = np.concatenate([soundfile.read(clip, dtype="int16")[0].reshape(-1) for clip in clips])
    soundfile.write(tmp_path / "real.flac", y, 48_000)
    outs = []
    for words in (["--model", str(bundle)], ["--url", server.address]):
        done = subprocess.run(
            [*command(None), str(tmp_path / "real.flac"), "--fast", "--json-lines", *words],
            env=environment(folder / "bin"),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        outs.append(finals(done.stdout))
    assert len(outs[0]) == len(clips)
    assert_same(*outs)


def lines_of_the_page():
    (block,) = re.findall(r"```\n(ser stream.*?)```", HOWTO.read_text(), re.DOTALL)
    return [line.split("#")[0].strip() for line in block.splitlines()]


@pytest.mark.parametrize("line", lines_of_the_page())
def test_the_lines_of_the_page_run(folder, bundle, line):
    typed = line.replace("ser stream", f"{sys.executable} -m ser.cli stream --model {bundle}")
    done = subprocess.run(
        ["/bin/sh", "-c", typed],
        cwd=folder,
        env=environment(folder / "bin"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", HOWTO.read_text(), re.DOTALL))
def test_the_programs_of_the_page_run(folder, server, code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**environment(folder / "bin"), "SER_SERVE_URL": server.address},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_shows_lines_as_they_are_printed():
    shown = "0:03.0-0:05.5  fear           0.62  anger 0.31  |  neutral 0.07\n"
    fear = measured("fear", {"fear": 0.62, "anger": 0.31, "neutral": 0.07}, ("fear", "anger"))
    assert final_line(fear, channels=1) + "\n" == shown
    assert shown in HOWTO.read_text()
