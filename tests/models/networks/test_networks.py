import dataclasses
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from ser.errors import BundleError, TableError
from ser.models.base import Examples, Fitting, Inputs
from ser.models.build import build_model, model_from_files
from ser.models.networks.architectures import EmotionCnn
from ser.models.networks.batches import TrainingBatches, Utterances
from ser.models.networks.model import NeuralModel
from ser.models.networks.windows import WINDOW_FRAMES, windows
from ser.models.networks.without_torch import CnnWithoutTorch
from ser.models.voices import posteriors, posteriors_by_speaker, voice_of
from ser.params import CnnParams, LogMelAugmentParams, MachineParams, ModelParams, TrainParams

CLASSES = ("neutral", "happiness", "anger")
N_MELS = 16
SMALL = ModelParams(name="cnn", cnn={"channels": 4, "width": 12, "dropout": 0.2})
SHORT = TrainParams(max_epochs=4, batch_size=8, learning_rate=0.01, average=0.8)


def examples(n: int = 36, *, seed: int = 0) -> Examples:
    """Noise of 30 to 70 frames with a raised band; which one is the emotion."""
    rng = np.random.default_rng(seed)
    emotion = np.arange(n) % 3
    log_mel = []
    for label in emotion:
        x = rng.normal(-40, 6, size=(int(rng.integers(30, 70)), N_MELS))
        x[:, 2 + 4 * label : 6 + 4 * label] += 12
        log_mel.append(x.astype(np.float16))
    speaker = np.array([f"s{i // 3 % 4}" for i in range(n)])
    return Examples(Inputs(log_mel=log_mel), np.asarray(CLASSES)[emotion], speaker)


def answer(model, log_mel) -> np.ndarray:
    return posteriors(model, Inputs(log_mel=log_mel))


def untrained(train: TrainParams = SHORT) -> NeuralModel:
    model = build_model(SMALL, train, classes=CLASSES, machine=MachineParams(threads=1))
    assert isinstance(model, NeuralModel)
    return model


def fit(*, seed: int = 3, train: TrainParams = SHORT, **options) -> NeuralModel:
    return untrained(train).fit(examples(), examples(18, seed=1), Fitting(seed, **options))


class Killed(Exception):
    """Stands for a SIGKILL."""


def fit_killed_at(epoch: int, workdir: Path, **options) -> None:
    def on_epoch(reached, _):
        if reached == epoch:
            raise Killed

    with pytest.raises(Killed):
        fit(workdir=workdir, on_epoch=on_epoch, **options)


@pytest.fixture(scope="module")
def model() -> NeuralModel:
    return fit(train=SHORT.model_copy(update={"max_epochs": 12}))


@pytest.fixture(scope="module")
def reference() -> dict[str, bytes]:
    """The files of an unbroken run."""
    return fit().to_files()


def test_a_trained_network_hears_the_difference(model):
    held_out = examples(30, seed=2)
    found = answer(model, held_out.inputs.log_mel)
    assert found.dtype == np.float64
    assert np.allclose(found.sum(axis=1), 1)
    predicted = np.asarray(CLASSES)[found.argmax(axis=1)]
    assert (predicted == held_out.emotion).mean() > 0.8


def test_a_posterior_does_not_depend_on_its_batch(model):
    inputs = examples(12, seed=2).inputs.log_mel
    together = answer(model, inputs)
    alone = np.concatenate([answer(model, [x]) for x in inputs])
    reversed_ = answer(model, inputs[::-1])[::-1]
    with_long = answer(model, [*inputs, np.zeros((400, N_MELS))])[:-1]
    for other in (alone, reversed_, with_long):
        assert np.abs(other - together).max() < 1e-5


def test_a_posterior_does_not_depend_on_level(model):
    x = examples(3, seed=2).inputs.log_mel[0].astype(np.float32)
    assert np.allclose(answer(model, [x]), answer(model, [x - 20]), atol=1e-4)


@pytest.mark.parametrize("n_frames", [1, 2, 7, 30, WINDOW_FRAMES, WINDOW_FRAMES + 1, 6000])
def test_every_length_has_a_posterior(model, n_frames):
    found = answer(model, [np.full((n_frames, N_MELS), -40.0)])
    assert np.isfinite(found).all()
    assert np.allclose(found.sum(), 1)


@pytest.mark.parametrize("n_frames", [601, 899, 900, 901, 12_345])
def test_windows_cover_all_frames_of_a_long_input(n_frames):
    x = np.arange(n_frames)[:, None]
    pieces = windows(x)
    assert {len(piece) for piece in pieces} == {WINDOW_FRAMES}
    assert set(np.concatenate(pieces)[:, 0]) == set(range(n_frames))
    assert len(pieces) <= n_frames / (WINDOW_FRAMES / 2)


def test_no_inputs_give_no_posteriors(model):
    assert answer(model, []).shape == (0, 3)


def test_another_number_of_mels_is_refused(model):
    with pytest.raises(TableError, match=r"\(50, 9\).*16"):
        answer(model, [np.zeros((50, 9))])


def test_files_bring_back_the_same_posteriors(model):
    files = model.to_files()
    again = model_from_files("cnn", files)
    inputs = examples(6, seed=2).inputs.log_mel
    np.testing.assert_allclose(answer(again, inputs), answer(model, inputs), atol=1e-5)
    assert again.to_files() == files
    assert again.n_parameters == model.n_parameters


def differing(n: int, *, longest: int, n_mels: int, seed: int = 0) -> list[np.ndarray]:
    """Log-mels of n lengths from 1 frame to `longest`, of levels and spectra of their own."""
    rng = np.random.default_rng(seed)
    lengths = [1, 2, WINDOW_FRAMES, WINDOW_FRAMES + 1, *rng.integers(1, longest, n)]
    spectra = rng.uniform(-80, 0, (len(lengths), 1)) + rng.normal(0, 15, (len(lengths), n_mels))
    return [
        rng.normal(spectrum, 10, size=(length, n_mels)).astype(np.float16)
        for length, spectrum in zip(lengths, spectra, strict=True)
    ]


@pytest.mark.parametrize(("n_mels", "channels", "width"), [(64, 16, 96), (40, 5, 9), (7, 4, 8)])
def test_a_network_answers_the_same_without_torch(n_mels, channels, width):
    """Weights as they may be after training: statistics and scales far from their start."""
    params = CnnParams(channels=channels, width=width)
    torch.manual_seed(5)
    theirs = EmotionCnn(n_mels=n_mels, n_classes=6, params=params).eval()
    for name, value in theirs.state_dict().items():
        if name.endswith("running_var") or (".norm." in name and name.endswith("weight")):
            value.uniform_(0.3, 3)
        elif value.is_floating_point() and value.ndim == 1:
            value.normal_(0, 0.5)
        elif value.ndim > 2:
            # Else hardly anything of the input reaches the last layer.
            value.mul_(2.5)
    ours = CnnWithoutTorch(theirs.weights(), n_mels=n_mels, n_classes=6, params=params)
    log_mel = differing(24, longest=1500, n_mels=n_mels)
    expected = theirs.embed_all(log_mel)
    found = ours.embed_all(log_mel)
    assert found.shape == (28, 2 * width)
    assert expected.std(axis=0).mean() > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.posteriors(found), theirs.posteriors(expected), atol=1e-4)
    assert ours.n_parameters == theirs.n_parameters


def test_without_torch_an_answer_has_the_same_bytes_on_every_run_and_in_every_batch(model):
    again = model_from_files("cnn", model.to_files())
    log_mel = differing(8, longest=900, n_mels=N_MELS)
    once = again.embed(Inputs(log_mel=log_mel))
    with ThreadPoolExecutor(4) as pool:
        others = list(pool.map(lambda _: again.embed(Inputs(log_mel=log_mel)), range(8)))
    alone = np.concatenate([again.embed(Inputs(log_mel=[x])) for x in log_mel])
    assert all(np.array_equal(other, once) for other in [*others, alone])


def test_the_same_seed_gives_the_same_weights_and_another_does_not(reference):
    assert fit().to_files() == reference
    assert fit(seed=4).to_files() != reference


def test_training_leaves_torchs_state_as_found():
    torch.manual_seed(11)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    fit(train=SHORT.model_copy(update={"max_epochs": 1}))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_a_killed_training_resumes_to_the_same_weights(tmp_path, epoch, reference):
    fit_killed_at(epoch, tmp_path)
    reports: list[int] = []
    resumed = fit(workdir=tmp_path, on_epoch=lambda e, _: reports.append(e))
    assert resumed.to_files() == reference
    assert reports == [0, 1, 2, 3]


def test_a_training_killed_again_and_again_gets_there(tmp_path, reference):
    for epoch in (1, 2, 3):
        fit_killed_at(epoch, tmp_path)
    assert fit(workdir=tmp_path).to_files() == reference


def test_a_resumed_training_repeats_no_finished_epoch(tmp_path, monkeypatch):
    fit_killed_at(3, tmp_path)
    from ser.models.networks.batches import TrainingBatches

    trained: list[int] = []
    rows = TrainingBatches._rows

    def watched(self, rng):
        trained.append(self.epoch)
        return rows(self, rng)

    monkeypatch.setattr(TrainingBatches, "_rows", watched)
    fit(workdir=tmp_path)
    assert trained == [3]


def test_a_finished_training_is_not_trained_again(tmp_path, monkeypatch, reference):
    fit(workdir=tmp_path)
    from ser.models.networks import training

    monkeypatch.setattr(training.pl, "Trainer", None)
    assert fit(workdir=tmp_path).to_files() == reference


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + bytes(90)])
def test_a_broken_checkpoint_is_ignored_with_a_warning(tmp_path, content, reference):
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.warns(UserWarning, match="cannot be read"):
        assert fit(workdir=tmp_path).to_files() == reference


def test_a_cut_checkpoint_is_ignored_with_a_warning(tmp_path, reference):
    fit_killed_at(2, tmp_path)
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-500])
    with pytest.warns(UserWarning, match="cannot be read"):
        assert fit(workdir=tmp_path).to_files() == reference


def test_a_checkpoint_of_another_training_is_ignored_with_a_warning(tmp_path, reference):
    fit_killed_at(2, tmp_path, seed=99)
    with pytest.warns(UserWarning, match="another training"):
        assert fit(workdir=tmp_path).to_files() == reference


def test_a_pickled_checkpoint_does_not_execute(tmp_path):
    planted = tmp_path / "planted"

    class Bomb:
        def __reduce__(self):
            return (open, (str(planted), "w"))

    torch.save({"fingerprint": Bomb()}, tmp_path / "last.ckpt")
    with pytest.warns(UserWarning, match="cannot be read"):
        fit(workdir=tmp_path, train=SHORT.model_copy(update={"max_epochs": 1}))
    assert not planted.exists()


def test_each_epoch_reports_its_scores():
    rows: list[dict] = []
    fit(on_epoch=lambda _, values: rows.append(dict(values)))
    assert len(rows) == 4
    assert {"train_loss", "dev_loss", "dev_uar", "learning_rate"} <= set(rows[-1])
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert 0 <= rows[-1]["dev_uar"] <= 1


def test_the_weights_are_those_of_the_last_epoch():
    rows: list[dict] = []
    model = fit(on_epoch=lambda _, values: rows.append(dict(values)))
    dev = examples(18, seed=1)
    predicted = np.asarray(CLASSES)[answer(model, dev.inputs.log_mel).argmax(axis=1)]
    recall = [(predicted[dev.emotion == c] == c).mean() for c in CLASSES]
    assert np.mean(recall) == pytest.approx(rows[-1]["dev_uar"])


@pytest.mark.parametrize(("epochs", "heard"), [(10, [4, 9]), (6, [2, 5]), (7, list(range(7)))])
def test_dev_is_listened_to_now_and_then_and_after_the_last_epoch(epochs, heard):
    rows: list[dict] = []
    train = SHORT.model_copy(update={"max_epochs": epochs})
    fit(train=train, on_epoch=lambda _, values: rows.append(dict(values)))
    assert [i for i, row in enumerate(rows) if "dev_uar" in row] == heard
    assert all("train_loss" in row for row in rows)


def test_training_is_quiet(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(train=SHORT.model_copy(update={"max_epochs": 1}))
    out, err = capfd.readouterr()
    assert out == err == ""


def test_an_emotion_beyond_the_classes_is_refused():
    model = build_model(SMALL, SHORT, classes=("neutral", "anger"))
    with pytest.raises(TableError, match="'happiness'"):
        model.fit(examples(), examples(), Fitting(0))


@pytest.mark.parametrize(
    "harm",
    [
        lambda files: {},
        lambda files: {**files, "model.safetensors": files["model.safetensors"][:-9]},
        lambda files: {**files, "model.safetensors": b"\x80\x04."},
        lambda files: {**files, "model.json": b"{"},
        lambda files: {
            **files,
            "model.json": json.dumps({**json.loads(files["model.json"]), "n_mels": 99}).encode(),
        },
    ],
    ids=["none", "cut", "pickle", "no JSON", "other shape"],
)
def test_broken_files_are_bundle_errors(model, harm):
    with pytest.raises(BundleError):
        model_from_files("cnn", harm(model.to_files()))


def test_an_unfitted_network_says_so():
    with pytest.raises(BundleError, match="not fitted"):
        answer(untrained(), [np.zeros((50, N_MELS))])


def by_voice(n: int = 96, *, seed: int = 0) -> Examples:
    """A speaker's own raised band hides most of the emotion's."""
    plain = examples(n, seed=seed)
    rng = np.random.default_rng(seed + 100)
    own = {name: rng.normal(0, 18, N_MELS) for name in np.unique(plain.speaker)}
    log_mel = [
        (x + own[name]).astype(np.float16)
        for x, name in zip(plain.inputs.log_mel, plain.speaker, strict=True)
    ]
    return Examples(Inputs(log_mel=log_mel), plain.emotion, plain.speaker)


LONGER = SHORT.model_copy(update={"max_epochs": 20})


@pytest.fixture(scope="module")
def enrolled() -> NeuralModel:
    return untrained(LONGER).fit(by_voice(), by_voice(24, seed=1), Fitting(3, enrolled=True))


def test_knowing_the_speaker_helps(enrolled):
    """Of new speakers, whose bands are others."""
    held_out = by_voice(96, seed=2)

    def right(found):
        return (np.asarray(CLASSES)[found.argmax(axis=1)] == held_out.emotion).mean()

    known = right(posteriors_by_speaker(enrolled, held_out))
    assert known > right(posteriors(enrolled, held_out.inputs)) + 0.1
    assert known > 0.6


def test_a_voice_is_known_by_any_clips_and_travels_in_the_files(enrolled):
    held_out = by_voice(24, seed=2)
    rows = np.flatnonzero(held_out.speaker == "s1")
    voice = voice_of(enrolled, held_out.inputs.take(rows))
    assert voice.clips == len(rows)
    again = model_from_files("cnn", enrolled.to_files())
    assert again.to_files() == enrolled.to_files()
    own = held_out.inputs.take(rows)
    found = posteriors(again, own, voice=voice)
    assert np.allclose(found, posteriors_by_speaker(enrolled, held_out)[rows])
    assert not np.allclose(found, posteriors(again, own))


def test_an_enrolled_training_that_was_killed_resumes_to_the_same_weights(tmp_path, enrolled):
    def on_epoch(reached, _):
        if reached == 7:
            raise Killed

    arguments = (by_voice(), by_voice(24, seed=1))
    with pytest.raises(Killed):
        untrained(LONGER).fit(
            *arguments, Fitting(3, enrolled=True, workdir=tmp_path, on_epoch=on_epoch)
        )
    resumed = untrained(LONGER).fit(*arguments, Fitting(3, enrolled=True, workdir=tmp_path))
    assert resumed.to_files() == enrolled.to_files()


def test_each_batch_holds_several_clips_of_few_speakers():
    from ser.models.networks.batches import SPEAKER_CLIPS, TrainingBatches, Utterances

    many = Utterances.of(by_voice(200), CLASSES)
    batches = TrainingBatches(many, n_classes=3, params=SHORT, seed=1, epoch=0, by_speaker=True)
    rows = list(batches)
    assert len(rows) == len(batches)
    assert sum(len(targets) for _, _, targets, _ in rows) == 200
    for _, _, _, speaker in rows:
        _, counts = np.unique(speaker, return_counts=True)
        assert len(counts) <= 3
        assert (counts >= SPEAKER_CLIPS).all()


def utterances(*, versions: int) -> Utterances:
    """Speaker i's log-mels hold i, those of version v 100 v more."""
    speaker = np.repeat(np.arange(6), 40)
    of_version = [[np.full((20, N_MELS), 100.0 * v + s, np.float32) for s in speaker]
                  for v in range(versions + 1)]  # fmt: skip
    return Utterances(of_version[0], np.arange(240) % 3, speaker, tuple(of_version[1:]))


UNCHANGED = TrainParams(
    augment={"stretch": 0, "warp": 0, "shift": 0, "tilt_db": 0, "masks": 0}, batch_size=8
)


@pytest.mark.parametrize("by_speaker", [False, True])
def test_an_epoch_hears_each_utterance_once_in_one_of_its_versions(by_speaker):
    batches = TrainingBatches(utterances(versions=2), n_classes=3, params=UNCHANGED, seed=1,
                              epoch=0, by_speaker=by_speaker)  # fmt: skip
    heard = []
    for log_mel, _, _, speaker in batches:
        values = log_mel[:, 0, 0].numpy()
        heard.append(values)
        if by_speaker:
            # Of a speaker in a batch all clips are one voice.
            pairs = {(int(s), int(v)) for s, v in zip(speaker, values // 100, strict=True)}
            assert len(pairs) == len(set(speaker.tolist()))
    every = np.concatenate(heard)
    assert np.array_equal(np.sort(every % 100), np.repeat(np.arange(6), 40))
    counts = np.bincount((every // 100).astype(int), minlength=3)
    assert counts.min() > 240 / 3 / 3


def test_versions_are_drawn_by_their_shares():
    some = dataclasses.replace(utterances(versions=3), shares=(2.0, 1.0, 0.5, 0.5))
    counts = np.zeros(4)
    for epoch in range(20):
        batches = TrainingBatches(some, n_classes=3, params=UNCHANGED, seed=1, epoch=epoch)
        for log_mel, *_ in batches:
            counts += np.bincount((log_mel[:, 0, 0].numpy() // 100).astype(int), minlength=4)
    np.testing.assert_allclose(counts / counts.sum(), np.array([2, 1, 0.5, 0.5]) / 4, atol=0.03)
    assert some.digest() != utterances(versions=3).digest()


def test_mixup_of_known_speakers_stays_within_a_speaker():
    """Each speaker's log-mels are one constant: a mixture of two would be another."""
    speaker = np.repeat([0, 1, 2], 8)
    many = Utterances([np.full((30, 8), 10.0 * s, np.float32) for s in speaker],
                      np.arange(24) % 3, speaker)  # fmt: skip
    still = LogMelAugmentParams(stretch=0, warp=0, shift=0, tilt_db=0, masks=0, mixup=1.0)
    params = SHORT.model_copy(update={"augment": still})
    batches = TrainingBatches(many, n_classes=3, params=params, seed=1, epoch=0, by_speaker=True)
    for log_mel, _, _, who in batches:
        for index in range(len(who)):
            assert log_mel[index].std() < 1e-5
        assert len(set(who.tolist())) > 1
