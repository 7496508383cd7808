"""The suite's numbers by another road, and what they must not depend on."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import ser.parallel
from ser.bundle import Bundle
from ser.core.scores import robustness
from ser.core.utterance.tables import utterance_keys
from ser.errors import AudioError, SerError, TableError
from ser.io.audio.read import load_mono
from ser.params import StressParams
from ser.predictor import Predictor
from ser.reporting.words import stress_text
from ser.stress import table as table_module
from ser.stress.conditions import Condition, conditions
from ser.stress.files import metric_names, rows_table
from ser.stress.page import BEGINS, ENDS, find_place, markdown
from ser.stress.printed import headline
from ser.stress.sampling import even_sample
from ser.stress.sounds import (
    RATE,
    Sounds,
    clips_of,
    image_source_rooms,
    noises_in,
    others,
    piece,
)
from ser.stress.suite import CLEAN, answer_all, changed
from ser.stress.table import Folders, stress
from support.small_corpus import VALUES, Corpus, prepared

SEED = 7
FEW = StressParams(resamples=100, families=("tilt",))
SMALL = StressParams(resamples=100, families=("small",))


def rows_of(sounds: Sounds, *names: str) -> list[Condition]:
    return [row for row in conditions(sounds) if row.name in names]


@pytest.fixture(scope="module")
def sounds(corpus: Corpus) -> Sounds:
    return Sounds(clips_of(corpus.root, corpus.test), responses=image_source_rooms())


def test_answers_are_those_of_the_predictor_to_the_changed_recording(corpus, bundle, sounds):
    """Every row, by two roads: the suite's own, and one clip after the other."""
    predictor, test = Predictor(bundle), corpus.test.iloc[[0, -1]]
    rows = [row for row in conditions(sounds) if not row.lacks]
    found = answer_all(predictor, corpus.root, test, rows, sounds, seed=SEED)

    for place, (file, key, speaker) in enumerate(
        zip(test["file"], utterance_keys(test), test["speaker"], strict=True)
    ):
        y, sr = load_mono(corpus.root / file)
        own = found[found["utterance"] == place].set_index("row")
        assert own.loc[CLEAN, "answer"] == (predictor.predict(y, sr=sr).emotion or "")
        for row in rows:
            other = changed(y, sr, row, key=key, speaker=speaker, sounds=sounds, seed=SEED)
            expected = predictor.predict(other[0], sr=other[1])
            assert own.loc[row.name, "answer"] == (expected.emotion or ""), row.name
            if not expected.abstention:
                posteriors = predictor.posteriors(other[0], sr=other[1])
                assert own.loc[row.name, "predicted"] == bundle.classes[posteriors.argmax()]


def test_the_clean_score_is_that_of_the_evaluation(corpus, bundle):
    from ser.core.scores.metrics import uar
    from ser.stages.learning import answers

    found = stress(Predictor(bundle), corpus.root, corpus.test, FEW, seed=SEED)
    assert found.uar_clean == uar(answers(corpus.root, bundle, corpus.test))


def test_nothing_depends_on_processes_order_or_other_rows(corpus, bundle, sounds, monkeypatch):
    predictor, test = Predictor(bundle), corpus.test.iloc[:4]
    rows = rows_of(
        sounds, "white 20 dB", "babble 10 dB", "RT60 0.5 s, DRR 0 dB", "packet loss 10 %"
    )
    assert len(rows) == 4

    def made(table: pd.DataFrame, own: list[Condition]) -> pd.DataFrame:
        found = answer_all(predictor, corpus.root, table, own, sounds, seed=SEED)
        files = found["utterance"].map(dict(enumerate(table["file"])))
        found = found.assign(file=files).drop(columns="utterance")
        return found.sort_values(["row", "file"]).reset_index(drop=True)

    several = made(test, rows)
    monkeypatch.setattr(ser.parallel, "cpu_count", lambda: 1)
    pd.testing.assert_frame_equal(several, made(test.iloc[::-1], rows[::-1]))
    alone = made(test, rows[:1])
    pd.testing.assert_frame_equal(
        alone, several[several["row"].isin([CLEAN, rows[0].name])].reset_index(drop=True)
    )


def test_another_seed_makes_other_noise(corpus, sounds):
    y, sr = load_mono(corpus.root / corpus.test["file"].iloc[0])
    (row,) = rows_of(sounds, "white 20 dB")

    def noise(**how: object) -> np.ndarray:
        given = {"key": "a", "speaker": "s", "sounds": sounds, "seed": 1, **how}
        return changed(y, sr, row, **given)[0]

    assert np.array_equal(noise(), noise())
    assert not np.array_equal(noise(), noise(seed=2))
    assert not np.array_equal(noise(), noise(key="b"))


def test_every_change_leaves_finite_speech_of_any_rate_and_length(sounds):
    rng = np.random.default_rng(3)
    for sr in (8_000, 11_025, 44_100):
        for seconds in (0.12, 1.0):
            y = (0.1 * rng.standard_normal(round(seconds * sr))).astype(np.float32)
            for row in conditions(sounds):
                if row.lacks:
                    continue
                other, rate = changed(
                    y, sr, row, key="a", speaker="nobody", sounds=sounds, seed=SEED
                )
                assert other.dtype == np.float32, row.name
                assert np.isfinite(other).all(), row.name
                assert other.size / rate == pytest.approx(seconds, abs=0.6), row.name


def test_babble_has_no_voice_of_the_speaker(corpus, sounds):
    speakers = set(corpus.test["speaker"])
    for speaker in speakers:
        voices = {clip.speaker for clip in others(sounds.clips, speaker)}
        assert voices == speakers - {speaker}


def test_one_speaker_has_no_babble_and_the_table_says_so(corpus, bundle):
    test = corpus.test[corpus.test["speaker"] == corpus.test["speaker"].iloc[0]].iloc[:3]
    params = StressParams(resamples=100, families=("noise",))
    found = stress(Predictor(bundle), corpus.root, test, params, seed=SEED)
    assert {one.name for one in found.left_out} == {"babble 20 dB", "babble 10 dB"}
    assert "two speakers" in found.left_out[0].lacks
    assert not any("babble" in row.name for row in found.rows)


def test_rooms_without_their_library_are_left_out(corpus, bundle, monkeypatch):
    def lacking() -> dict[str, np.ndarray]:
        raise SerError("pyroomacoustics is not installed; this needs the extra insight.")

    monkeypatch.setattr(table_module, "image_source_rooms", lacking)
    params = StressParams(resamples=100, families=("room",))
    found = stress(Predictor(bundle), corpus.root, corpus.test, params, seed=SEED, limit=2)
    assert {one.name for one in found.left_out} == {"office", "meeting room", "hall"}
    assert len(found.rows) == 3


def test_folders_of_noises_and_impulse_responses_make_rows(corpus, bundle, tmp_path):
    noise, rir = tmp_path / "noise ü", tmp_path / "rooms"
    for folder in (noise, rir):
        folder.mkdir()
    rng = np.random.default_rng(4)
    soundfile.write(noise / "rain.wav", 0.1 * rng.standard_normal((44_100, 2)), 44_100)
    # A room that is none: the answers stay.
    soundfile.write(rir / "none.wav", np.r_[0.0, 0.0, 0.5, np.zeros(100)], RATE, subtype="FLOAT")
    params = StressParams(resamples=100, families=("noise", "room"))
    found = stress(
        *(Predictor(bundle), corpus.root, corpus.test, params),
        seed=SEED,
        limit=4,
        folders=Folders(noise, rir),
    )
    rows = {(row.family, row.name): row for row in found.rows}
    assert {("noise", "folder 20 dB"), ("noise", "folder 10 dB")} <= set(rows)
    assert rows["room", "folder"].unchanged == 1


@pytest.mark.parametrize("what", ["no folder", "empty", "silent", "no audio"])
def test_a_folder_of_noises_that_cannot_be_used_is_one_line(corpus, bundle, tmp_path, what):
    folder = tmp_path / "noises"
    if what != "no folder":
        folder.mkdir()
    if what == "silent":
        soundfile.write(folder / "a.wav", np.zeros(1000), 16_000)
    if what == "no audio":
        (folder / "a.wav").write_text("none")
    with pytest.raises(AudioError):
        stress(
            *(Predictor(bundle), corpus.root, corpus.test, FEW),
            seed=SEED,
            folders=Folders(noise=folder),
        )


def test_a_noise_that_is_too_long_is_called_a_noise(tmp_path):
    for seconds in (301, 601):
        soundfile.write(tmp_path / "rain.wav", np.full(8_000 * seconds, 0.1), 8_000)
        if seconds == 301:
            assert noises_in(tmp_path)[0].n_samples == 8_000 * seconds
    with pytest.raises(AudioError, match=r"600 s in one noise\. Cut it into noises"):
        noises_in(tmp_path)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_a_piece_of_a_noise_is_what_stands_at_its_place(tmp_path, kind):
    rng = np.random.default_rng(5)
    y = 0.1 * rng.standard_normal((3 * RATE, 2)).cumsum(axis=0) / 50
    soundfile.write(tmp_path / f"a.{kind}", y, RATE)
    (noise,) = noises_in(tmp_path)
    whole, _ = load_mono(noise.path)
    for n in (100, RATE, 3 * RATE - 1):
        found = piece(noise, n, sr=RATE, rng=np.random.default_rng(n))
        start = int(np.random.default_rng(n).integers(max(1, noise.n_samples - n)))
        np.testing.assert_allclose(found, whole[start : start + n], atol=1e-6)
    # A short one is repeated.
    assert piece(noise, 5 * RATE, sr=RATE, rng=rng).size == 5 * RATE
    assert piece(noise, 1_000, sr=8_000, rng=rng).size == 1_000


def test_noises_are_not_kept_in_memory(tmp_path):
    for i in range(20):
        soundfile.write(tmp_path / f"{i}.wav", np.full(60 * RATE, 0.1), RATE)
    tracemalloc.start()
    found = noises_in(tmp_path)
    for noise in found:
        piece(noise, RATE, sr=RATE, rng=np.random.default_rng(0))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # One of them has 3.8 MB.
    assert kept < 1e6


def test_a_recording_that_changed_on_disk_is_refused(corpus, bundle, tmp_path):
    test = corpus.test.iloc[:1]
    copy = tmp_path / test["file"].iloc[0]
    copy.parent.mkdir(parents=True)
    shutil.copy(corpus.root / test["file"].iloc[0], copy)
    copy.write_bytes(copy.read_bytes()[:-2] + b"\1\2")
    with pytest.raises(AudioError, match="bytes changed"):
        stress(Predictor(bundle), tmp_path, test, FEW, seed=SEED)


def test_no_utterance_is_an_error(corpus, bundle):
    with pytest.raises(TableError, match="No utterance"):
        stress(Predictor(bundle), corpus.root, corpus.test.iloc[:0], FEW, seed=SEED)


def test_a_sample_is_even_over_speakers_and_emotions_whatever_the_order(corpus):
    for table, count in ((corpus.folds, 6), (corpus.folds, 30), (corpus.test, 6), (corpus.test, 9)):
        sample = even_sample(table, count, seed=SEED)
        assert len(sample) == count
        for column in ("speaker", "emotion"):
            assert np.ptp(sample[column].value_counts().to_numpy()) <= 1
            assert sample[column].nunique() == table[column].nunique()
        again = even_sample(table.sample(frac=1, random_state=1), count, seed=SEED)
        assert set(again["file"]) == set(sample["file"])
    table = corpus.folds
    assert even_sample(table, None, seed=SEED) is table
    assert len(even_sample(table, 10**6, seed=SEED)) == len(table)


def test_a_model_that_leans_on_level_is_caught_by_the_gain_rows(corpus, tmp_path):
    """A planted flaw: anger is loud in what the model is trained on, and levels are kept."""
    root = tmp_path / "loud"
    for file, emotion in zip(corpus.folds["file"], corpus.folds["emotion"], strict=True):
        y, sr = soundfile.read(corpus.root / file)
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, y * (1.0 if emotion == "anger" else 0.02), sr, subtype="FLOAT")
    loud = prepared(root, corpus.params)
    gains = ("gain -20 dB", "gain -6 dB", "gain +6 dB")

    def gain_rows(bundle: Bundle) -> dict[str, bool | None]:
        found = stress(Predictor(bundle), root, loud.test, SMALL, seed=SEED, limit=12)
        return {row.name: row.passed for row in found.rows if row.name in gains}

    assert not gain_rows(loud.learn(level_db=None))["gain -20 dB"]
    assert all(gain_rows(loud.learn()).values()), "brought to one level, it does not matter"


def test_a_model_with_enrolment_knows_each_speaker_by_the_clips_as_recorded(tmp_path):
    from ser.params import parse_params
    from ser.stages import synthesize

    params = parse_params({**VALUES, "model": {"name": "lda", "enrolled": True}})
    synthesize.run(tmp_path, params)
    corpus = prepared(tmp_path, params)
    bundle = corpus.learn()
    predictor = Predictor(bundle)
    speaker = corpus.test["speaker"].iloc[0]
    own = corpus.test[corpus.test["speaker"] == speaker]
    clips = [load_mono(tmp_path / file) for file in own["file"]]
    voice = predictor.enrol(clips)
    found = answer_all(predictor, tmp_path, own, [], Sounds(), seed=SEED)
    expected = [predictor.predict(y, sr=sr, voice=voice).emotion or "" for y, sr in clips]
    assert found["answer"].tolist() == expected


def test_metrics_have_a_name_for_each_row_that_mlflow_takes(corpus, bundle):
    import re

    found = stress(Predictor(bundle), corpus.root, corpus.test, SMALL, seed=SEED, limit=3)
    values = metric_names(found)
    assert all(re.fullmatch(r"[\w./ -]+", name) for name in values)
    rows = [name for name in values if name.startswith("unchanged/")]
    assert len(rows) == len(found.rows) == len(rows_table(found)) - 1
    assert values["stress/small_gain_-6_dB"] == pytest.approx(found.rows[1].uar, abs=1e-4)


def test_rows_and_gaps_are_counted_apart(corpus, bundle, monkeypatch):
    monkeypatch.setattr(robustness, "LEAST_SPEAKERS", 1)
    monkeypatch.setattr(robustness, "LEAST_UTTERANCES", 1)
    found = stress(Predictor(bundle), corpus.root, corpus.test, FEW, seed=SEED)
    verdicts = [row.passed for row in found.rows]
    assert None not in verdicts
    judged = [gap.passed for gap in found.fairness if gap.passed is not None]
    assert judged, "the test speakers are a woman and a man"
    text = f"{sum(verdicts)} of {len(verdicts)} rows and {sum(judged)} of {len(judged)} gap"
    assert text in headline(found)
    assert text in stress_text(json.loads(json.dumps(found.to_dict())))
    assert f"Before: UAR as recorded {found.uar_clean:.3f}; {text}" in markdown(
        found, found.to_dict()
    )


def test_a_page_of_something_else_is_not_overwritten(tmp_path):
    page = tmp_path / "page.md"
    assert find_place(page).filled("| a |") == f"{BEGINS}\n| a |\n{ENDS}\n"
    page.write_text("\n")
    assert find_place(page).filled("| a |") == f"{BEGINS}\n| a |\n{ENDS}\n"
    page.write_text(f"# Mine\n{BEGINS}\nold\n{ENDS}\nEnd\n")
    assert find_place(page).filled("| a |") == f"# Mine\n{BEGINS}\n| a |\n{ENDS}\nEnd\n"
    for text in ("# Mine\n", f"# Mine\n{BEGINS}\n", f"{ENDS}\n{BEGINS}\n"):
        page.write_text(text)
        with pytest.raises(SerError, match="not the two lines"):
            find_place(page)
    page.write_bytes("Übung".encode("latin-1"))
    with pytest.raises(SerError, match="no UTF-8"):
        find_place(page)


def test_the_guide_names_the_lines_of_a_page():
    guide = (Path(__file__).parents[2] / "docs/howto/stress.md").read_text(encoding="utf-8")
    assert f"`{BEGINS}`" in guide
    assert f"`{ENDS}`" in guide


def test_the_rooms_are_rooms():
    rooms = image_source_rooms()
    assert set(rooms) == {"office", "meeting room", "hall"}
    for response in rooms.values():
        assert np.isfinite(response).all()
        energy = np.cumsum(np.square(response)[::-1])[::-1]
        assert energy[-1] < 1e-3 * energy[0]
