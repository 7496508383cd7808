"""`ser plot` on folders that people might have: labelled, unlabelled, broken, tiny."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from typer.testing import CliRunner

from ser.cli.commands import app
from ser.errors import SerError
from ser.params import FeatureParams
from ser.pictures.run import Plotting, plot
from ser.pictures.sources import find_sources
from support.signals import SR, noise, voice
from support.spoken import WORDS, spoken_in


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """EMOTION/SPEAKER/x.wav in a folder with a blank and an umlaut: 24 clips of 4 speakers."""
    return spoken_in(tmp_path_factory.mktemp("plot") / "über calls")


@pytest.fixture
def folder(spoken, tmp_path):
    shutil.copytree(spoken, tmp_path / spoken.name)
    return tmp_path / spoken.name


def made(folder, tmp_path, **how):
    out = tmp_path / "page.html"
    done = plot([str(folder)], None, FeatureParams(), Plotting(out=out, kind="pca", **how))
    return out.read_text(encoding="utf-8"), pd.read_csv(out.with_suffix(".clips.csv")), done


def test_a_labelled_folder_becomes_a_page_tables_and_figures(folder, tmp_path):
    text, clips, done = made(folder, tmp_path, figures=tmp_path / "figures")
    assert len(clips) == 24
    assert clips["emotion"].value_counts().to_dict() == dict.fromkeys(WORDS, 8)
    assert clips["label_quality"].between(0, 1).all()
    assert "24 utterances" in text
    assert "Labels that may be wrong" in text
    assert "Clips unlike the others" in text
    # Nothing from elsewhere: it opens on a machine without a network.
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]+"', text)
    pictures = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert {"distributions", "voices", "map_emotion", "map_speaker"} <= pictures
    assert f"emotions_{folder.name}" in pictures
    assert all(path.stat().st_size for path in done.files)
    again, _, _ = made(folder, tmp_path)
    assert again == text


def test_five_clips_without_labels_are_pictured_all_the_same(tmp_path):
    folder = tmp_path / "memos"
    folder.mkdir()
    for i in range(5):
        rate = (8_000, SR)[i % 2]
        sound = np.stack([voice(seed=i)] * 2, axis=1) if i == 3 else voice(seed=i)
        soundfile.write(folder / f"memo {i}.wav", sound, rate)
    text, clips, done = made(folder, tmp_path)
    assert len(clips) == 5
    assert set(clips["emotion"]) == {"unknown"}
    assert any("No labels were found" in line for line in done.lines)
    assert text.count("<audio") == 5
    assert "label unknown" in text
    assert "Feature map" in text
    assert "Labels that may be wrong" not in text


@pytest.mark.parametrize("kept", ["angry/*", "*/spk01"])
def test_one_emotion_or_one_speaker_is_enough(folder, tmp_path, kept):
    wanted = set(folder.glob(kept))
    for path in folder.glob("*/*"):
        if path not in wanted:
            shutil.rmtree(path)
    for path in folder.iterdir():
        if not any(path.iterdir()):
            path.rmdir()
    text, clips, _ = made(folder, tmp_path)
    assert len(clips) == len(list(folder.rglob("*.wav")))
    assert "labels are not checked" in text


def test_what_cannot_be_read_is_left_out_and_said(folder, tmp_path):
    victim = next(folder.rglob("*.wav"))
    victim.write_bytes(victim.read_bytes()[:2000])
    text, clips, done = made(folder, tmp_path)
    assert len(clips) == 23
    assert any("left out are 1" in line for line in done.lines)
    assert victim.name in text


def test_noise_among_speech_is_the_first_outlying_clip(folder, tmp_path):
    soundfile.write(folder / "sad" / "spk02" / "hiss.wav", noise(seconds=2.0), SR)
    made(folder, tmp_path)
    suspicious = pd.read_csv(tmp_path / "page.suspicious.csv")
    first = suspicious[suspicious["why"] == "outlying"].iloc[0]
    assert first["file"].endswith("hiss.wav")
    assert "voiced share" in first["odd"]


def test_a_sample_is_said_to_be_one(folder, tmp_path):
    text, clips, _ = made(folder, tmp_path, most=12)
    assert len(clips) == 12
    assert "12 of 24 utterances, drawn at random" in text


def test_two_folders_of_one_name_are_two_corpora(folder, tmp_path):
    other = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, other)
    found = find_sources([str(folder), str(other)], None, FeatureParams())
    assert [source.name for source in found] == [folder.name, f"{folder.name}-2"]
    assert set(found[1].table["corpus"]) == {f"{folder.name}-2"}


def test_a_numbered_name_is_no_other_folder_s(tmp_path):
    folders = [tmp_path / name for name in ("a/calls", "b/calls-3", "c/calls")]
    for i, path in enumerate(folders):
        path.mkdir(parents=True)
        soundfile.write(path / "1.wav", voice(seed=i), SR)
    found = find_sources(list(map(str, folders)), None, FeatureParams())
    assert len({source.name for source in found}) == 3


def test_a_place_that_cannot_be_written_is_found_before_the_work(folder, monkeypatch):
    monkeypatch.setattr("ser.pictures.run.plot", None)
    for option in ("--out", "--figures"):
        words = ["plot", str(folder), "--map", "pca", option, "/dev/null/x.html"]
        done = CliRunner().invoke(app, words)
        assert isinstance(done.exception, SerError)
        assert "cannot be written" in str(done.exception)


def test_what_is_neither_folder_nor_corpus_is_one_line(tmp_path):
    with pytest.raises(SerError, match="neither a folder nor a corpus"):
        find_sources(["ravdes"], None, FeatureParams())
    with pytest.raises(SerError, match="Nothing to picture"):
        find_sources([], None, FeatureParams())


def test_the_command_writes_where_it_says(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["plot", str(folder), "--map", "pca", "--list", "3"])
    assert done.exit_code == 0, done.output
    assert f"{folder.name}.html" in done.output
    assert (tmp_path / f"{folder.name}.html").is_file()
