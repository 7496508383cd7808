"""Dialogues in long files, from a label table to predictions, by the real stages."""

import hashlib
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from flows.gate.judging import score_bundle
from ser.audit import audit_folder, lines
from ser.benchmark.designs import assign_all
from ser.bundle import load_bundle
from ser.cli import main
from ser.core.augmentation.waveforms import versions_of
from ser.core.utterance.segments import WHOLE, Segment
from ser.core.utterance.tables import segments_of, split_sha256, utterance_keys
from ser.corpora.own.shelf import own_corpus
from ser.corpora.synthetic.speak import speak, utterances
from ser.errors import AudioError, CorpusError, RefusedAudio, SerError
from ser.io.audio import read as audio
from ser.io.intake.own import add_own, prepare_own
from ser.io.storage import shards
from ser.params import Params, SyntheticParams
from ser.predictor import Predictor
from ser.project import AUDIT, AUGMENTED, FEATURES, FOLDS, MANIFESTS, METRICS, PREDICTIONS
from ser.stages import evaluate, featurize, gather, manifest, split, train

#: Another rate than the features': segments are cut before they are resampled.
SR = 22_050
PAUSE = 0.25


@pytest.fixture(scope="module")
def spoken():
    """Six speakers × three emotions: (utterance, int16 samples)."""
    plan = utterances(SyntheticParams(speakers=6, sentences=1), seed=1)
    chosen = [u for u in plan if u.emotion in ("anger", "sadness", "neutral")]
    return [(u, np.round(speak(u, sr=SR) * 2**15).astype(np.int16)) for u in chosen]


@pytest.fixture(scope="module")
def source(spoken, tmp_path_factory):
    """Three dialogues of two speakers each, `table.csv`, and each utterance in `cut`."""
    folder = tmp_path_factory.mktemp("dialogues")
    pause = np.zeros(round(PAUSE * SR), np.int16)
    rows = []
    for first in (1, 3, 5):
        parts, at = [pause], pause.size
        for utterance, y in spoken:
            if int(utterance.speaker.removeprefix("spk")) not in (first, first + 1):
                continue
            name = f"dialogue-{first}.wav"
            times = (f"{at / SR:.6f}", f"{(at + y.size) / SR:.6f}")
            rows.append((name, utterance.emotion, utterance.speaker, utterance.sentence, *times))
            cut = folder / "cut" / utterance.emotion / utterance.speaker / f"{len(rows)}.wav"
            cut.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(cut, y, SR)
            parts += [y, pause]
            at += y.size + pause.size
        (folder / "files").mkdir(exist_ok=True)
        soundfile.write(folder / "files" / name, np.concatenate(parts), SR)
    columns = ["file", "emotion", "speaker", "sentence", "start", "end"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "table.csv", index=False)
    return folder


def params(corpus="dialogues", **values):
    return Params(
        data={"corpora": [corpus]},
        model={"name": "logistic_regression"},
        augment={"versions": 1},
        abstention={"max_novelty_percentile": None},
        **{"split": {"protocol": "holdout", "test_fraction": 0.34, "dev_fraction": 0.3}, **values},
    )


@pytest.fixture(scope="module")
def root(source, tmp_path_factory):
    """A project whose only corpus is the dialogues, after all stages."""
    root = tmp_path_factory.mktemp("project")
    own = prepare_own(source / "files", table=source / "table.csv", facts={"title": "d"})
    add_own(own, source / "files", root / "data/raw/dialogues")
    manifest.run(root, params(), "dialogues")
    for stage in (gather, split, featurize, train, evaluate):
        stage.run(root, params())
    return root


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """The same utterances, a file each, with their features."""
    root = tmp_path_factory.mktemp("whole")
    own = prepare_own(source / "cut", facts={"title": "cut"})
    add_own(own, source / "cut", root / "data/raw/cut")
    manifest.run(root, params("cut"), "cut")
    gather.run(root, params("cut"))
    featurize.run(root, params("cut"))
    return root


def table_of(root: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(root / MANIFESTS / f"{name}.parquet")


def test_each_segment_is_an_utterance_of_the_manifest(root, whole):
    table, cut = table_of(root, "dialogues"), table_of(whole, "cut")
    assert len(table) == len(cut) == 18
    assert table["file"].nunique() == table["sha256"].nunique() == 3
    assert not table["whole"].any()
    assert cut["whole"].all()
    np.testing.assert_allclose(table["end"] - table["start"], table["duration"])
    same = ["speaker", "emotion", "duration", "audio_sha256", "fingerprint"]
    table["speaker"], cut["speaker"] = (t["speaker"].str.split("/").str[1] for t in (table, cut))
    table, cut = (t.sort_values("audio_sha256", ignore_index=True)[same] for t in (table, cut))
    pd.testing.assert_frame_equal(table, cut)


def test_the_features_of_a_segment_are_those_of_the_same_samples_in_a_file_of_their_own(
    root, whole
):
    stored, own = (shards.read_functionals(at / FEATURES) for at in (root, whole))
    log_mels, own_log_mels = (shards.read_sequences(at / FEATURES) for at in (root, whole))
    table, cut = table_of(root, "dialogues"), table_of(whole, "cut")
    pairs = dict(zip(cut["audio_sha256"], cut["sha256"], strict=True))
    assert sorted(stored.index) == sorted(utterance_keys(table))
    for key, samples in zip(utterance_keys(table), table["audio_sha256"], strict=True):
        np.testing.assert_array_equal(stored.loc[key], own.loc[pairs[samples]])
        np.testing.assert_array_equal(log_mels[key], own_log_mels[pairs[samples]])


def test_a_whole_recording_is_stored_under_its_hash_and_a_segment_under_its_own_key(root, whole):
    cut, table = table_of(whole, "cut"), table_of(root, "dialogues")
    assert list(utterance_keys(cut)) == list(cut["sha256"])
    before = cut.drop(columns="whole").assign(split="train")
    lines_of = sorted(before["sha256"] + " " + before["emotion"] + " " + before["split"])
    expected = hashlib.sha256("\n".join(lines_of).encode()).hexdigest()
    assert split_sha256(cut.assign(split="train")) == split_sha256(before) == expected
    assert utterance_keys(table).is_unique
    a_sample = table.head(1).assign(start=table["start"] + 1 / 192_000)
    assert utterance_keys(a_sample).item() != utterance_keys(table.head(1)).item()


def test_speakers_stay_apart_and_recordings_that_do_not_are_counted(root, capsys):
    folds = pd.read_parquet(root / FOLDS)
    assert (folds.groupby("speaker")["split"].nunique() == 1).all()
    per_file = folds.groupby("file")["split"].agg(lambda s: "test" in set(s) and len(set(s)) > 1)
    receipt = pd.read_json(root / AUDIT, typ="series")
    assert receipt["recordings_across_splits"] == per_file.sum()
    assert receipt["copies_across_splits"] == receipt["copies_within_splits"] == 0
    everyone = params(split={"protocol": "leave-one-speaker-out"})
    assert len(assign_all(root, everyone)) == 6
    split.run(root, everyone)
    assert "1 recording(s) have segments of test speakers and of others" in capsys.readouterr().out
    split.run(root, params())


def test_altered_versions_are_of_the_segments(root):
    stored = shards.read_functionals(root / AUGMENTED)
    rows = versions_of(table_of(root, "dialogues"), 1)
    assert sorted(stored.index) == sorted(rows.index)
    assert len(stored.drop_duplicates()) == 18


def test_predictions_name_each_utterance_and_are_those_that_are_served(root, source):
    predictions = pd.read_parquet(root / PREDICTIONS)
    folds = pd.read_parquet(root / FOLDS)
    test = folds[folds["split"] == "test"]
    assert len(predictions) == len(test) > 0
    assert not predictions.duplicated(["file", "start", "end"]).any()
    bundle = load_bundle(root / "models/bundle")
    columns = [f"p_{emotion}" for emotion in bundle.classes]
    for _, row in predictions.iloc[::4].iterrows():
        y, sr = soundfile.read(root / row["file"], dtype="float32")
        clip = y[round(row["start"] * sr) : round(row["end"] * sr)]
        served = Predictor(bundle).predict(clip, sr=sr)
        np.testing.assert_allclose(
            list(served.posteriors.values()), row[columns].to_numpy(float), atol=1e-4
        )
    again = score_bundle(root / "models/bundle", folds[folds["split"] == "test"], root)
    pd.testing.assert_frame_equal(again, predictions, atol=1e-4)
    assert pd.read_json(root / METRICS, typ="series")["test"]["utterances"] == len(test)


def test_a_recording_is_decoded_once_for_all_its_segments(root, monkeypatch):
    decoded = []

    def decode(data, **options):
        decoded.append(len(data))
        return real(data, **options)

    real = audio.decode
    monkeypatch.setattr(audio, "decode", decode)
    # In this process, where it can be counted.
    here = lambda function, items, *, doing: (function(*item) for item in items)  # noqa: E731
    monkeypatch.setattr(featurize, "in_parallel", here)
    monkeypatch.setattr(manifest, "in_parallel", here)
    table = table_of(root, "dialogues").sample(frac=1, random_state=0).reset_index(drop=True)
    made = list(featurize.features_of(root, table, params().features, doing="featurize"))
    assert len(decoded) == 3
    stored = shards.read_functionals(root / FEATURES)
    for key, features in zip(utterance_keys(table), made, strict=True):
        np.testing.assert_allclose(features.functionals, stored.loc[key], rtol=1e-3, atol=1e-3)
    decoded.clear()
    before = table_of(root, "dialogues")
    manifest.run(root, params(), "dialogues")
    assert len(decoded) == 3
    pd.testing.assert_frame_equal(table_of(root, "dialogues"), before)


def test_a_corpus_with_segments_grows_and_keeps_what_it_has(source, tmp_path):
    dest, rows = tmp_path / "raw" / "d", pd.read_csv(source / "table.csv", dtype=str)
    tables = [tmp_path / f"{n}.csv" for n in range(3)]
    rows.iloc[:3].to_csv(tables[0], index=False)
    rows.iloc[1:6].to_csv(tables[1], index=False)
    rows.iloc[2:3].assign(emotion="fear").to_csv(tables[2], index=False)

    def add(table):
        add_own(
            prepare_own(source / "files", table=table, drop_unlisted=True, facts={"title": "d"}),
            source / "files",
            dest,
        )

    add(tables[0])
    add(tables[1])
    corpus = own_corpus(dest)
    assert corpus.utterances == 6
    (labels,) = corpus.label(dest, [Path("dialogue-1.wav")]).values()
    assert [f"{label.end:.6f}" for label in labels] == rows["end"].tolist()[:6]
    with pytest.raises(CorpusError, match=r"dialogue-1\.wav has other labels"):
        add(tables[2])
    rows.iloc[:1].drop(columns=["start", "end"]).to_csv(tables[2], index=False)
    with pytest.raises(CorpusError, match=r"dialogue-1\.wav has other labels"):
        add(tables[2])


def test_a_segment_that_the_recording_does_not_hold_is_named(source, tmp_path):
    dest = tmp_path / "data/raw/d"
    own = prepare_own(source / "files", table=source / "table.csv", facts={"title": "d"})
    add_own(own, source / "files", dest)
    labels = pd.read_csv(dest / "labels.csv", dtype=str)
    labels.loc[0, "end"] = "999"
    labels.to_csv(dest / "labels.csv", index=False)
    (dest / "SHA256SUMS").unlink()
    with pytest.raises(SerError, match=r"dialogue-1\.wav \(0\.250 s to 999\.000 s\) ends after"):
        manifest.run(tmp_path, params("d"), "d")
    bad = tmp_path / "bad.csv"
    pd.read_csv(source / "table.csv", dtype=str).assign(end="999").to_csv(bad, index=False)
    with pytest.raises(CorpusError, match=r"Row 1 .*dialogue-1\.wav.*\(18 rows"):
        prepare_own(source / "files", table=bad, facts={"title": "d"})


def test_the_audit_takes_segments_for_utterances(source):
    described = {"table": source / "table.csv"}
    found = audit_folder(source / "files", described=described, measure=False)
    facts = found.to_dict()
    assert (facts["recordings"], facts["utterances"], facts["speakers"]) == (3, 18, 6)
    assert found.is_clean
    assert "18 utterances in 3 recordings of 6 speakers" in lines(found)[0]


def test_adding_says_what_came_in(source, checkout, tmp_path, monkeypatch, capsys):
    shutil.copytree(checkout.root, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr("ser.io.intake.dvc.add", lambda root, path: None)
    table = tmp_path / "overlapping.csv"
    rows = pd.read_csv(source / "table.csv", dtype=str)
    rows.loc[1, "start"] = rows.loc[0, "start"]
    rows.loc[1, "emotion"] = "laugh"
    rows.loc[2, "start"] = rows.loc[0, "start"]
    rows.to_csv(table, index=False)
    (tmp_path / "map.yaml").write_text("laugh: drop\n")
    words = ["corpus", "add", "folder", source / "files", "--name", "d", "--table", table]
    words += ["--mapping", tmp_path / "map.yaml"]
    monkeypatch.setattr(sys, "argv", ["ser", *map(str, words)])
    with pytest.raises(SystemExit) as leaving:
        main()
    said = capsys.readouterr()
    assert not leaving.value.code, said.err
    assert "17 segments of 3 recordings are utterances" in said.out
    assert "note: 2 segments overlap another one" in said.out
    assert "Left out: 1 of 18 rows of the table" in said.out
    assert "mean nothing here" not in said.out


def test_the_samples_of_a_segment_are_those_of_the_recording_between_its_bounds(root):
    row = table_of(root, "dialogues").iloc[[1]]
    (segment,) = segments_of(row)
    path = root / row["file"].item()
    y, sr = audio.load_mono(path)
    sha256 = row["sha256"].item()
    (loaded, _), (whole, _) = audio.load_segments(path, [segment, WHOLE], sha256=sha256)
    start, end = (round(value * sr) for value in (segment.start, segment.end))
    np.testing.assert_array_equal(loaded, y[start:end])
    np.testing.assert_array_equal(whole, y)


def test_a_recording_that_holds_segments_may_be_longer_than_an_utterance(root, monkeypatch):
    monkeypatch.setattr(audio, "CORPUS", replace(audio.CORPUS, max_seconds=2.0))
    row = table_of(root, "dialogues").iloc[[1]]
    path, sha256 = root / row["file"].item(), row["sha256"].item()
    ((y, sr),) = audio.load_segments(path, segments_of(row), sha256=sha256)
    assert len(y) == pytest.approx(sr * row["duration"].item(), abs=1)
    with pytest.raises(RefusedAudio):
        audio.load_segments(path, [WHOLE], sha256=sha256)
    with pytest.raises(AudioError, match="lasts 4 s; expected at most 2 s in one utterance"):
        Segment(1, 5).within(10, most=2)
