"""`ser …` as it is typed, on a trained project."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser import __version__, cli
from ser.bundle import bundle_sha256, load_bundle, save_bundle
from ser.io.storage.traffic_files import read_traffic
from ser.io.tracking import runs, store
from ser.io.tracking.registry import promotion, registration, versions


@pytest.fixture
def ser(monkeypatch, capsys, trained):
    """Type `ser …` in the project; (exit status, stdout, stderr)."""
    monkeypatch.chdir(trained.root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["ser", *map(str, words)])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        said = capsys.readouterr()
        return leaving.value.code or 0, said.out, said.err

    return typed


@pytest.fixture
def recordings(trained):
    predictions = pd.read_parquet(trained.root / "reports" / "predictions.parquet")
    return predictions.head(3)


def test_predict_answers_each_file_as_evaluation_did(ser, recordings):
    status, out, err = ser("predict", *recordings["file"], "--model", "models/bundle", "--json")
    assert (status, err) == (0, "")
    answers = json.loads(out)
    assert [a["emotion"] for a in answers] == list(recordings["predicted"])
    assert [a["file"] for a in answers] == list(recordings["file"])
    for answer in answers:
        assert sum(answer["posteriors"].values()) == pytest.approx(1)
        assert answer["confidence"] == max(answer["posteriors"].values())
    _, out, _ = ser("predict", *recordings["file"], "--model", "models/bundle", "--json-lines")
    assert [json.loads(line) for line in out.splitlines()] == answers


def test_predict_takes_a_folder(ser, trained):
    folder = trained.root / "data/raw/synthetic/spk01"
    _, out, _ = ser("predict", folder, "--model", "models/bundle", "--json")
    assert len(json.loads(out)) == len(list(folder.glob("*.wav"))) == 18


def test_a_line_a_file_starts_with_the_emotion_and_names_every_posterior(ser, recordings):
    status, out, _ = ser("predict", *recordings["file"], "--model", "models/bundle")
    assert status == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == list(recordings["predicted"])
    for line, file in zip(lines, recordings["file"], strict=True):
        assert file in line
        for emotion in ("neutral", "happiness", "sadness", "anger", "fear", "disgust"):
            assert f"{emotion} " in line.replace(file, "")


def test_one_bad_file_does_not_stop_the_others(ser, recordings, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    soundfile.write(tmp_path / "short.wav", np.zeros(10), 16_000)
    files = [tmp_path / "bad.wav", recordings["file"].iloc[0], tmp_path / "short.wav"]
    status, out, err = ser("predict", *files, "--model", "models/bundle")
    assert status == cli.SOME_FAILED
    assert recordings["predicted"].iloc[0] in out
    assert [line.split(" ")[0] for line in err.splitlines()] == ["error:"]
    assert "bad.wav" in err
    status, out, _ = ser("predict", *files, "--model", "models/bundle", "--json")
    assert [("error" in a) for a in json.loads(out)] == [True, False, False]


def test_a_recording_without_an_answer_has_a_reason(ser, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(10), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    files = [tmp_path / "short.wav", tmp_path / "silent.wav"]
    status, out, err = ser("predict", *files, "--model", "models/bundle")
    assert (status, err) == (0, "")
    first, why, second, _ = out.splitlines()
    assert first.split()[0] == "too_short"
    assert second.split()[0] == "no_speech"
    assert "at least 0.3 s are needed" in why
    _, out, _ = ser("predict", *files, "--model", "models/bundle", "--json")
    answers = json.loads(out)
    assert [a["abstention"]["reason"] for a in answers] == ["too_short", "no_speech"]
    assert [a["emotion"] for a in answers] == [None, None]


@pytest.fixture(scope="module")
def knowing(trained, tmp_path_factory):
    """The bundle of a model that knows voices."""
    project = trained.copied_to(tmp_path_factory.mktemp("knowing"))
    project.set(model__name="lda", model__enrolled=True)
    done = project.call("ser.stages.train")
    assert done.returncode == 0, done.stderr
    return project.root / "models" / "bundle"


def test_a_speaker_s_own_recordings_change_the_answer(ser, knowing, recordings, trained):
    file = recordings["file"].iloc[0]
    words = ("predict", file, "--model", knowing, "--json")
    _, out, _ = ser(*words)
    (stranger,) = json.loads(out)
    status, out, err = ser(*words, "--enrol", (trained.root / file).parent)
    (known,) = json.loads(out)
    assert (status, err) == (0, "")
    assert (stranger["enrolled_clips"], known["enrolled_clips"]) == (0, 18)
    assert known["posteriors"] != stranger["posteriors"]


def test_clips_that_tell_nothing_of_a_voice_are_left_out(ser, knowing, recordings, tmp_path):
    file = recordings["file"].iloc[0]
    words = ("predict", file, "--model", knowing, "--json", "--enrol", tmp_path)
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    status, _, err = ser(*words)
    assert status == cli.USER_ERROR
    assert err.startswith("error: No recording enrols the speaker. ")
    assert "silent.wav" in err
    y, sr = soundfile.read(recordings["file"].iloc[1])
    soundfile.write(tmp_path / "spoken.wav", y, sr)
    status, out, err = ser(*words)
    assert json.loads(out)[0]["enrolled_clips"] == 1
    assert (status, err.split(" ")[:2]) == (0, ["left", "out:"])


def test_a_model_that_knows_no_voices_takes_no_clips(ser, recordings, tmp_path):
    file = recordings["file"].iloc[0]
    status, _, err = ser("predict", file, "--model", "models/bundle", "--enrol", tmp_path)
    assert status == cli.USER_ERROR
    assert "this model was trained without enrolment" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "x.wav"], "No champion yet"),
        (["predict", "x.wav", "--model", "nowhere"], "neither a folder nor a registry URI"),
        (["predict", "x.wav", "--model", "reports"], "is not a model: it has no bundle.json"),
        (["predict", "reports", "--model", "models/bundle"], "holds no recordings"),
        (["corpus", "add", "ravdes", "."], "No corpus is called 'ravdes'; known are"),
        (["corpus", "add", "ravdess", "nowhere"], "nowhere does not exist"),
        (["corpus", "add", "folder", "."], "need a name"),
        (["corpus", "add", "folder", ".", "--name", "tess"], "cannot be called 'tess'"),
        (["corpus", "add", "tess", ".", "--language", "en"], "are for `ser corpus add folder"),
        (["corpus", "add", "synthetic", "."], "is made by the pipeline"),
        (["promote", "7"], "no version 7"),
        (["roll-back"], "No champion, so there is nothing to roll back from"),
    ],
)
def test_what_cannot_be_done_is_one_line(ser, words, message):
    status, _, err = ser(*words)
    assert status == cli.USER_ERROR
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_outside_a_project_it_says_so(ser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = ser("corpus", "list")
    assert status == cli.USER_ERROR
    assert "is in no project" in err


def test_corpora_are_listed_with_their_licence(ser, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = ser("corpus", "list")
    assert status == 0
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert rows["synthetic"].split()[1] == "108"
    assert rows["ravdess"].split()[1] == "no"
    assert "CC BY-NC-SA 4.0" in rows["ravdess"]


def test_help_teaches_every_command(ser):
    _, out, _ = ser("--help")
    for command in ("predict", "corpus", "promote", "roll-back", "versions", "history"):
        assert command in out
    assert ser("-h")[1] == out
    assert ser("roll-back", "-h")[1] == ser("roll-back", "--help")[1]
    assert ser("--version") == (0, f"{__version__}\n", "")


@pytest.fixture
def registered(ser, trained, tmp_path, monkeypatch):
    """A project of two versions of which the second serves."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(trained.root / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    bundle = load_bundle(trained.root / "models" / "bundle")
    for number in (1, 2):
        directory = tmp_path / "bundles" / str(number)
        save_bundle(replace(bundle, card={**bundle.card, "number": number}), directory)
        with runs.start_run(tmp_path, name=str(number), params={}) as run:
            pass
        version = registration.register(
            tmp_path,
            directory,
            run_id=run.run_id,
            bundle_sha256=bundle_sha256(directory),
            scores={"uar": number / 10},
            tags={"model": "lda", "corpora": "synthetic"},
        )
        promotion.promote(tmp_path, version, reason="better [than before]")
    return tmp_path


def test_versions_and_the_journal_are_listed(ser, registered, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, err = ser("versions")
    assert (status, err) == (0, "")
    header, newest, oldest, *reasons = out.splitlines()
    assert header.split()[:3] == ["version", "aliases", "model"]
    assert newest.split()[:6] == ["2", "challenger,", "champion", "lda", "synthetic", "0.200"]
    assert "promoted" in oldest
    assert reasons == ["", "2: better [than before]", "", "1: better [than before]"]
    _, out, _ = ser("versions", "--json")
    assert [(v["version"], v["uar"], v["aliases"]) for v in json.loads(out)] == [
        (2, 0.2, ["challenger", "champion"]),
        (1, 0.1, []),
    ]
    status, out, _ = ser("history")
    assert [line.split()[2:4] for line in out.splitlines()[1:]] == [
        ["promoted", "1"],
        ["promoted", "2"],
    ]
    assert "better [than before]" in out
    assert [row["version"] for row in json.loads(ser("history", "--json")[1])] == [1, 2]


@pytest.mark.parametrize("number", ["99", "-1"])
def test_a_version_that_is_not_there_is_one_line(ser, registered, number):
    status, _, err = ser("promote", number)
    assert status == cli.USER_ERROR
    assert err == (f"error: emotion-recognition has no version {number}; known are 2, 1.\n")


def test_rolling_back_asks_first(ser, registered, monkeypatch):
    status, _, err = ser("roll-back")
    assert status == cli.USER_ERROR
    assert "Version 2 serves. Roll back to version 1?" in err
    assert "`ser roll-back --yes`" in err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda _: False)
    assert ser("roll-back")[0] == cli.SOME_FAILED
    assert versions.champion(registered).version == 2
    status, out, _ = ser("roll-back", "--yes")
    assert (status, out) == (0, "Version 1 is the champion again.\n")
    assert json.loads(ser("history", "--json")[1])[-1]["event"] == "rolled_back"
    status, out, _ = ser("roll-back", "2", "--yes", "--reason", "it was better")
    assert (status, out) == (0, "Version 2 is the champion again.\n")
    status, _, err = ser("roll-back", "7")
    assert (status, err.count("\n")) == (cli.USER_ERROR, 1)
    assert "Version 7 does not exist; earlier champions that can be loaded: 1." in err


def test_promoting_what_serves_says_so(ser, registered):
    status, out, _ = ser("promote", "2")
    assert (status, out) == (0, "Version 2 is the champion already; nothing changed.\n")


def test_what_was_changed_by_hand_is_said_before_a_command_changes_more(ser, registered):
    store.connect(registered).set_registered_model_alias(versions.MODEL, "champion", "1")
    status, out, err = ser("promote", "1", "--reason", "mea\x1bnt")
    assert (status, out) == (0, "Version 1 is the champion.\n")
    assert "the journal says version 2: the alias was moved by hand" in err
    assert err.count("\n") == 1
    assert ser("promote", "1")[2] == ""
    last = json.loads(ser("history", "--json")[1])[-1]
    assert (last["event"], last["reason"]) == ("promoted", "mea\\x1bnt")


def test_the_journal_fits_into_80_columns_with_who(ser, registered, monkeypatch):
    monkeypatch.setenv("LOGNAME", "anna")
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    ser("promote", "1", "--reason", "a reason of some length, as people write them")
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = ser("history")
    assert max(map(len, out.splitlines())) <= 80
    assert "anna@box" in out


def test_nothing_registered_says_what_to_do(ser, trained, tmp_path, monkeypatch):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(trained.root / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in ("versions", "history"):
        status, out, _ = ser(command)
        assert (status, "make run" in out) == (0, True)


def test_own_recordings_are_added_tracked_and_listed(ser, project, tmp_path, monkeypatch):
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("Wut/anna/1.wav", "Wut/ben/1.wav", "calm/anna/1.wav", "Lachen/ben/1.wav"):
        (tmp_path / "calls" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "calls" / name, np.zeros(1600), 16_000)
    (tmp_path / "words.yaml").write_text("Wut: anger\nLachen: drop\n")
    words = ["corpus", "add", "folder", tmp_path / "calls", "--name", "calls"]

    status, _, err = ser(*words)
    assert (status, err.count("\n")) == (cli.USER_ERROR, 1)
    assert "{Lachen: EMOTION, Wut: EMOTION}" in err
    assert not (project.root / "data/raw/calls").exists()

    status, out, _ = ser(*words, "--mapping", tmp_path / "words.yaml", "--licence", "internal")
    assert status == 0
    assert "3 recordings in data/raw/calls" in out
    assert "Speakers: anna, ben." in out
    assert "Wut: 2 as anger" in out
    assert "Left out: 1 of 4 recordings" in out
    assert (project.root / "data/raw/calls.dvc").is_file()

    _, out, _ = ser("corpus", "list")
    rows = {line.split()[0]: line.split()[1:5] for line in out.splitlines()}
    assert rows["calls"] == ["3", "2", "internal", "here"]


@pytest.fixture
def own_log(tmp_path, monkeypatch):
    """The folder that `--log` writes to."""
    monkeypatch.setenv("SER_TRAFFIC", str(tmp_path / "log"))
    return tmp_path / "log"


def test_predict_logs_its_answers_as_figures(ser, recordings, own_log, trained):
    words = ("predict", *recordings["file"], "--model", "models/bundle", "--json")
    status, out, err = ser(*words, "--log")
    assert (status, err) == (0, f"logged: 3 answers in {own_log}.\n")
    _, same, _ = ser(*words)
    assert out == same
    rows = read_traffic(own_log)
    assert set(rows["source"]) == {"predict"}
    assert set(rows["bundle_sha256"]) == {bundle_sha256(trained.root / "models" / "bundle")}
    assert rows["version"].isna().all()
    lengths = [soundfile.info(trained.root / file).duration for file in recordings["file"]]
    assert sorted(rows["duration_seconds"]) == pytest.approx(sorted(lengths))
    for answer, (_, row) in zip(json.loads(out), rows.iterrows(), strict=True):
        assert row["emotion"] == answer["emotion"]
        assert row["confidence"] == answer["confidence"]
        assert row["p_fear"] == answer["posteriors"]["fear"]
        assert np.isnan(row["p_boredom"])
    assert rows["snr_db"].between(-100, 100).all()
    assert rows["pitch_hz"].between(65, 500).all()
    assert rows["bandwidth_hz"].between(2_000, 8_000).all()


def test_what_is_logged_of_a_registered_model_names_its_version(
    ser, recordings, own_log, project, monkeypatch
):
    with runs.start_run(project.root, name="logged", params={}) as run:
        pass
    bundle = project.root / "models" / "bundle"
    version = registration.register(
        project.root, bundle, run_id=run.run_id, bundle_sha256=bundle_sha256(bundle), scores={}
    )
    monkeypatch.chdir(project.root)
    uri = f"models:/{versions.MODEL}/{version.version}"
    assert ser("predict", recordings["file"].iloc[0], "--model", uri, "--log")[0] == 0
    assert list(read_traffic(own_log)["version"]) == [version.version]


def test_errors_are_no_rows_and_abstentions_are(ser, recordings, tmp_path, own_log):
    (tmp_path / "bad.wav").write_text("no audio")
    soundfile.write(tmp_path / "short.wav", np.zeros(10), 16_000)
    files = [tmp_path / "bad.wav", recordings["file"].iloc[0], tmp_path / "short.wav"]
    status, _, err = ser("predict", *files, "--model", "models/bundle", "--log")
    assert status == cli.SOME_FAILED
    assert err.splitlines()[-1] == f"logged: 2 answers in {own_log}."
    rows = read_traffic(own_log)
    assert rows["abstention"].fillna("").tolist() == ["", "too_short"]
    assert rows["level_db"].tolist()[1] == -100
    assert rows["snr_db"].isna().tolist() == [False, True]


def test_neither_samples_nor_names_are_in_the_log(ser, tmp_path, own_log):
    rng = np.random.default_rng(0)
    planted = rng.integers(-9_000, 9_000, 32_000).astype(np.int16)
    soundfile.write(tmp_path / "planted-name.wav", planted, 16_000)
    assert (
        ser("predict", tmp_path / "planted-name.wav", "--model", "models/bundle", "--log")[0] == 0
    )
    (file,) = own_log.glob("*.parquet")
    stored = file.read_bytes()
    # Parquet compresses: what is stored is looked through decompressed, too.
    shown = read_traffic(own_log).to_json()
    for at in range(0, 32_000, 500):
        assert planted[at : at + 16].tobytes() not in stored
    assert b"planted-name" not in stored
    assert "planted-name" not in shown
    assert str(tmp_path) not in shown


def test_the_log_is_off_where_the_environment_says_so(ser, recordings, monkeypatch, trained):
    monkeypatch.setenv("SER_TRAFFIC", "off")
    file = recordings["file"].iloc[0]
    status, _, err = ser("predict", file, "--model", "models/bundle", "--log")
    assert (status, err) == (0, "nothing is logged: SER_TRAFFIC is off.\n")
    assert not (trained.root / "data" / "traffic").exists()


def test_without_being_asked_nothing_is_logged(ser, recordings, own_log):
    assert ser("predict", recordings["file"].iloc[0], "--model", "models/bundle")[0] == 0
    assert not own_log.exists()


def test_a_log_that_cannot_be_written_costs_no_answer(ser, recordings, own_log):
    own_log.write_text("a file is in the way")
    status, out, err = ser("predict", *recordings["file"], "--model", "models/bundle", "--log")
    assert (status, len(out.splitlines())) == (0, 3)
    assert err.splitlines()[-1] == f"logged: 0 answers in {own_log}; 3 could not be written."
