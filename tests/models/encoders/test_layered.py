import json

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from ser.core.speakers.enrolment import Enrolment
from ser.errors import BundleError, TableError
from ser.models.base import Examples, Fitting, Inputs
from ser.models.encoders.layered import LayeredModel, of_speakers
from ser.models.encoders.training import smoothed_loss, train_head
from ser.models.torch_models import class_weight
from ser.models.voices import posteriors, posteriors_by_speaker
from ser.params import LayersParams

CLASSES = ("neutral", "happiness", "anger")
SHAPE = (4, 12)
SHORT = LayersParams(max_epochs=25, batch_size=32, learning_rate=0.01)


def examples(n: int = 240, *, seed: int = 0, voices: float = 0.0, speakers: int = 6) -> Examples:
    """Only layer 2 tells the emotion; `voices` is how far speakers lie apart in it."""
    rng = np.random.default_rng(seed)
    emotion = np.arange(n) % 3
    speaker = rng.integers(0, speakers, n)
    x = rng.normal(size=(n, *SHAPE)) * rng.uniform(0.5, 50, size=(1, 4, 1))
    directions = np.random.default_rng(99).normal(size=(3, 12))
    own = np.random.default_rng(seed + 100)
    offset = own.normal(scale=voices, size=(speakers, 12))
    spread = own.uniform(1, 1 + min(voices, 1.0), size=(speakers, 1))
    x[:, 2] = (rng.normal(size=(n, 12)) + 2 * directions[emotion]) * spread[speaker] + offset[
        speaker
    ]
    return Examples(
        Inputs(layers=list(x.astype(np.float32))),
        np.asarray(CLASSES)[emotion],
        np.array([f"s{seed}-{i}" for i in speaker]),
    )


def fit(*, seed: int = 3, params: LayersParams = SHORT, **options) -> LayeredModel:
    model = LayeredModel(params, classes=CLASSES)
    return model.fit(examples(), examples(60, seed=1), Fitting(seed, **options))


def accuracy(posteriors: np.ndarray, emotion: np.ndarray) -> float:
    return float((np.asarray(CLASSES)[posteriors.argmax(axis=1)] == emotion).mean())


@pytest.fixture(scope="module")
def model() -> LayeredModel:
    return fit()


def layer_weights(model):
    """How much each layer counts: (n_layers,), sums to 1; the input's is the first."""
    return model.network.layer_logits.detach().softmax(dim=0).numpy()


def test_the_layer_that_tells_the_emotion_counts_most(model):
    assert layer_weights(model).argmax() == 2
    assert layer_weights(model)[2] > 0.4
    assert np.isclose(layer_weights(model).sum(), 1)
    held_out = examples(90, seed=2)
    found = posteriors(model, held_out.inputs)
    assert found.dtype == np.float64
    assert np.allclose(found.sum(axis=1), 1)
    assert accuracy(found, held_out.emotion) > 0.9


def test_the_embedding_is_the_weighted_mean_of_standardised_layers(model):
    held_out = examples(20, seed=2).inputs
    embeddings = model.embed(held_out)
    assert embeddings.shape == (20, 12)
    x = np.stack(examples().inputs.layers).astype(np.float64)
    standard = (np.stack(held_out.layers) - x.mean(axis=0)) / x.std(axis=0)
    expected = np.einsum("l,nlw->nw", layer_weights(model), standard)
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)


@pytest.mark.parametrize("hidden", [0, 8])
def test_equal_seeds_give_equal_bytes_and_others_do_not(hidden):
    params = SHORT.model_copy(update={"hidden": hidden, "max_epochs": 4})
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = fit(params=params).to_files()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(12)
    assert fit(params=params).to_files() == first
    assert fit(params=params, seed=4).to_files() != first


@pytest.mark.parametrize("enrolled", [False, True])
def test_files_come_back_as_the_same_model(enrolled):
    model = fit(params=SHORT.model_copy(update={"hidden": 8, "max_epochs": 3}), enrolled=enrolled)
    files = model.to_files()
    back = LayeredModel.from_files(files)
    held_out = examples(20, seed=2).inputs
    np.testing.assert_array_equal(posteriors(back, held_out), posteriors(model, held_out))
    assert back.to_files() == files
    assert (back.enrolment is not None) == enrolled
    if enrolled:
        for key, value in vars(model.enrolment).items():
            np.testing.assert_array_equal(getattr(back.enrolment, key), value)


def test_training_stops_when_dev_has_not_improved_and_keeps_its_best(monkeypatch):
    seen = []
    params = SHORT.model_copy(update={"max_epochs": 200, "patience": 4, "learning_rate": 0.05})
    model = fit(params=params, on_epoch=lambda epoch, values: seen.append((epoch, values)))
    assert [epoch for epoch, _ in seen] == list(range(len(seen)))
    scores = [(values["dev_uar"], -values["dev_loss"]) for _, values in seen]
    assert len(scores) < 200
    assert len(scores) - 1 - scores.index(max(scores)) == 4
    dev = examples(60, seed=1)
    found = posteriors(model, dev.inputs)
    rows = np.arange(60), [CLASSES.index(e) for e in dev.emotion]
    assert np.isclose(-np.log(found[rows]).mean(), -max(scores)[1], atol=1e-5)


def test_rare_emotions_weigh_as_scikit_learn_balances_them():
    target = np.array([0] * 7 + [1] * 2 + [2])
    weight = class_weight(torch.from_numpy(target), 3)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=target)
    np.testing.assert_allclose(weight, expected, rtol=1e-6)
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    found = smoothed_loss(logits, torch.from_numpy(target), weight, label_smoothing=0.0)
    assert np.isclose(
        found,
        log_loss(target, logits.double().softmax(dim=1), sample_weight=expected[target]),
        atol=1e-5,
    )
    smoothed = smoothed_loss(logits, torch.from_numpy(target), weight, label_smoothing=0.3)
    even = -logits.log_softmax(dim=1).mean(dim=1) * weight[target]
    assert np.isclose(smoothed, 0.7 * found + 0.3 * even.mean(), atol=1e-5)


def test_a_known_speaker_is_heard_better_than_a_stranger():
    """Voices far apart drown the emotion, unless each is taken out."""
    train, dev = examples(voices=15.0), examples(120, seed=1, voices=15.0)
    model = LayeredModel(SHORT, classes=CLASSES).fit(train, dev, Fitting(3, enrolled=True))
    held_out = examples(180, seed=2, voices=15.0)
    strange = accuracy(posteriors(model, held_out.inputs), held_out.emotion)
    known = accuracy(posteriors_by_speaker(model, held_out), held_out.emotion)
    assert known > max(0.85, strange + 0.2)
    plain = LayeredModel(SHORT, classes=CLASSES).fit(train, dev, Fitting(3))
    assert plain.enrolment is None
    assert accuracy(posteriors(plain, held_out.inputs), held_out.emotion) < 0.8


def test_the_stored_enrolment_is_that_of_the_training_embeddings():
    train = examples(voices=3.0)
    model = LayeredModel(SHORT.model_copy(update={"max_epochs": 3}), classes=CLASSES)
    model.fit(train, examples(60, seed=1), Fitting(3, enrolled=True))
    expected = Enrolment.of(model.embed(train.inputs), speaker=train.speaker)
    for key, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(model.enrolment, key), value)


def test_the_head_learns_from_speakers_who_are_known(monkeypatch):
    """What it is trained and stopped on is what enrolment makes of each speaker's embeddings."""
    learnt_from = []

    def spy(network, groups, **options):
        learnt_from.append((options["train"][0].numpy(), options["dev"][0].numpy()))
        return train_head(network, groups, **options)

    monkeypatch.setattr("ser.models.encoders.layered.train_head", spy)
    train, dev = examples(voices=3.0), examples(60, seed=1, voices=3.0)
    model = LayeredModel(SHORT.model_copy(update={"max_epochs": 2}), classes=CLASSES)
    model.fit(train, dev, Fitting(3, enrolled=True))
    for found, data in zip(learnt_from[1], (train, dev), strict=True):
        known = model.enrolment.by_speaker(model.embed(data.inputs), speaker=data.speaker)
        np.testing.assert_array_equal(found, known.astype(np.float32))


def test_epochs_of_both_phases_are_numbered_through():
    seen = []
    fit(
        params=SHORT.model_copy(update={"max_epochs": 3}),
        enrolled=True,
        on_epoch=lambda epoch, _: seen.append(epoch),
    )
    assert seen == list(range(6))


def test_each_speaker_alone_has_mean_0_and_deviation_1_and_one_clip_is_left():
    train = examples(60, voices=5.0)
    speaker = train.speaker.astype(object)
    speaker[0] = "alone"
    standard, within = of_speakers(np.stack(train.inputs.layers), speaker)
    for name in set(speaker) - {"alone"}:
        np.testing.assert_allclose(standard[speaker == name].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(standard[speaker == name].std(axis=0), 1, atol=1e-4)
    assert np.isfinite(standard).all()
    x = np.stack(train.inputs.layers)
    known = [x[speaker == name] for name in set(speaker) - {"alone"}]
    squares = sum(((clips - clips.mean(axis=0)) ** 2).sum(axis=0) for clips in known)
    np.testing.assert_allclose(within, np.sqrt(squares / 59), rtol=1e-4)


def test_a_dimension_that_never_varies_does_no_harm():
    def flat(data: Examples) -> Examples:
        layers = np.stack(data.inputs.layers)
        layers[:, 0, 0] = 5.0
        return Examples(Inputs(layers=list(layers)), data.emotion, data.speaker)

    model = LayeredModel(SHORT, classes=CLASSES).fit(
        flat(examples()), flat(examples(60, seed=1)), Fitting(3)
    )
    held_out = flat(examples(60, seed=2))
    assert accuracy(posteriors(model, held_out.inputs), held_out.emotion) > 0.9


def test_what_does_not_fit_is_refused_in_words(model):
    with pytest.raises(TableError, match=r"shape \(3, 12\); the model takes \(4, 12\)"):
        model.embed(Inputs(layers=[np.zeros((3, 12), np.float32)]))
    with pytest.raises(TableError, match="Embed all with one encoder"):
        model.embed(Inputs(layers=[np.zeros((3, 12)), np.zeros((4, 12))]))
    with pytest.raises(TableError, match="no embedding"):
        model.embed(Inputs(layers=[]))
    some = examples(6)
    sad = Examples(some.inputs, np.array(["sadness"] * 6), some.speaker)
    with pytest.raises(TableError, match="'sadness'; the model's classes"):
        LayeredModel(SHORT, classes=CLASSES).fit(sad, some, Fitting(1))
    with pytest.raises(BundleError, match="not fitted"):
        LayeredModel(SHORT, classes=CLASSES).to_files()


@pytest.mark.parametrize(
    "bend",
    [
        lambda files: files.pop("model.json"),
        lambda files: files.update({"model.safetensors": b"cut"}),
        lambda files: files.update({"model.json": b"{}"}),
        lambda files: files.update(
            {
                "model.json": json.dumps(
                    json.loads(files["model.json"]) | {"shape": [4, 13]}
                ).encode()
            }
        ),
        lambda files: files.update({"enrolment.safetensors": b"cut"}),
    ],
)
def test_bent_files_are_refused(model, bend):
    files = model.to_files()
    bend(files)
    with pytest.raises(BundleError, match="cannot be read"):
        LayeredModel.from_files(files)
