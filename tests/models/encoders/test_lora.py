import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ser.errors import BundleError, EncoderError
from ser.models.base import Examples, Fitting, Inputs
from ser.models.encoders.adapters import adapter_state, train_adapter, with_adapter
from ser.models.encoders.layered import LayeredModel
from ser.models.encoders.loading import load_encoder
from ser.models.encoders.lora import LoraModel
from ser.models.voices import posteriors
from ser.params import LayersParams, LoraParams
from support.encoders import SR, save_encoder, waveform

CLASSES = ("neutral", "anger")
SMALL = LoraParams(
    rank=2,
    max_epochs=2,
    learning_rate=0.01,
    batch_size=3,
    accumulate=2,
    crop_seconds=0.4,
    head=LayersParams(max_epochs=2, learning_rate=0.001),
)
NAMES = ("wav2vec2-group", "wav2vec2-layer", "hubert-layer", "wavlm-layer", "data2vec", "whisper")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("encoders")
    return {name: save_encoder(root / name, name) for name in NAMES}


@pytest.fixture(scope="module")
def encoders(folders):
    return {name: load_encoder(str(folder)) for name, folder in folders.items()}


def examples(n: int = 24, *, seed: int = 0) -> Examples:
    """Buzzes of 0.2 to 0.6 s; the angry ones are rough: loud and soft eight times a second."""
    rng = np.random.default_rng(seed)
    buzzes = []
    for i in range(n):
        y = waveform(rng.uniform(0.2, 0.6), seed=1000 * seed + i, pitch=rng.uniform(100, 200))
        if i % 2:
            y = y * (1 + 0.9 * np.sin(2 * np.pi * 25 * np.arange(y.size) / SR))
        buzzes.append(y.astype(np.float32))
    return Examples(
        Inputs(waveform=buzzes),
        np.asarray(CLASSES)[np.arange(n) % 2],
        np.array([f"s{i % 3}" for i in range(n)]),
    )


def fit(encoder, *, seed: int = 3, params: LoraParams = SMALL, **options) -> LoraModel:
    model = LoraModel(params, encoder, classes=CLASSES)
    return model.fit(examples(), examples(10, seed=1), Fitting(seed, **options))


@pytest.fixture(scope="module")
def model(encoders) -> LoraModel:
    return fit(encoders["wavlm-layer"])


@pytest.mark.parametrize("name", NAMES)
def test_every_adapter_is_heard_and_learns(encoders, name):
    """WavLM reads its projections' weights and never calls them: adapters could be deaf there."""
    base, heard = encoders[name], [waveform(0.3), waveform(0.5, seed=1)]
    torch.manual_seed(0)
    adapted = with_adapter(base, rank=2, alpha=4, dropout=0.0)
    before = base.encode(heard)
    np.testing.assert_allclose(adapted.encode(heard), before, atol=1e-6)
    learnt = {n: p for n, p in adapted.model.named_parameters() if p.requires_grad}
    assert learnt.keys() == adapter_state(adapted).keys()
    assert len(learnt) == 2 * 2 * 2  # two layers, query and value, A and B
    for name_of, parameter in learnt.items():
        if "lora_B" in name_of:
            torch.nn.init.normal_(parameter)
    assert np.abs(adapted.encode(heard)[:, 1:] - before[:, 1:]).max() > 1e-3
    np.testing.assert_array_equal(base.encode(heard), before)
    for batch in adapted.batches([(0, p) for p in adapted.pieces(heard[0])], size=1):
        torch.cat(adapted.pool([piece for _, piece in batch])).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in learnt.values())


def test_an_adapter_adds_what_the_paper_says(encoders):
    """W + alpha / rank · B A, by hand, in the layer where WavLM reads it and where HuBERT calls."""
    for name in ("wavlm-layer", "hubert-layer"):
        base = encoders[name]
        adapted = with_adapter(base, rank=2, alpha=8, dropout=0.0)
        state = dict(adapted.model.named_parameters())
        merged = load_encoder(base.reference.name)
        with torch.no_grad():
            for key in state:
                if "lora_B" in key:
                    torch.nn.init.normal_(state[key], std=0.3)
                    a = state[key.replace("lora_B", "lora_A")]
                    plain = key[: key.index(".lora_B")] + ".weight"
                    dict(merged.model.named_parameters())[plain] += 4 * state[key] @ a
        y = [waveform(0.4)]
        np.testing.assert_allclose(adapted.encode(y), merged.encode(y), atol=1e-4)
        assert np.abs(adapted.encode(y) - base.encode(y)).max() > 1e-2


def test_only_the_adapters_dropout_is_on_while_they_learn(encoders):
    adapted = with_adapter(encoders["hubert-layer"], rank=2, alpha=4, dropout=0.1)
    train_adapter(adapted)
    on = [name for name, module in adapted.model.named_modules() if module.training]
    assert on
    assert all("lora_dropout" in name for name in on)


@pytest.mark.parametrize("name", ["wav2vec2-group", "whisper"])
def test_training_hears_mixed_lengths(encoders, name):
    seen = []
    model = fit(encoders[name], on_epoch=lambda epoch, values: seen.append((epoch, values)))
    assert [epoch for epoch, _ in seen] == [0, 1]
    found = posteriors(model, examples(8, seed=2).inputs)
    assert found.dtype == np.float64
    assert np.allclose(found.sum(axis=1), 1)


def test_adapters_learn_what_the_frozen_encoder_does_not_tell(encoders):
    """With a head that cannot help, the training loss falls all the same."""
    losses = []
    deaf = SMALL.model_copy(
        update={
            "max_epochs": 12,
            "patience": 12,
            "label_smoothing": 0.0,
            "dropout": 0.0,
            "head": LayersParams(
                max_epochs=1, learning_rate=1e-9, layer_learning_rate=1e-9, dropout=0.0
            ),
        }
    )
    fit(
        encoders["wavlm-layer"],
        params=deaf,
        on_epoch=lambda _, values: losses.append(values["train_loss"]),
    )
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])


def test_equal_seeds_give_equal_bytes_and_others_do_not(encoders, model):
    torch.manual_seed(8)
    before = torch.get_rng_state()
    again = fit(encoders["wavlm-layer"]).to_files()
    assert torch.equal(before, torch.get_rng_state())
    assert again == model.to_files()
    assert fit(encoders["wavlm-layer"], seed=4).to_files() != again


def test_accumulated_gradients_are_those_of_one_batch(encoders):
    """Six at once, or two by two before a step: the same weights up to rounding."""
    still = {"dropout": 0.0, "head": SMALL.head.model_copy(update={"dropout": 0.0})}
    found = []
    for size, accumulate in ((6, 1), (2, 3)):
        update = {"batch_size": size, "accumulate": accumulate, "max_epochs": 1, **still}
        model = fit(encoders["hubert-layer"], params=SMALL.model_copy(update=update))
        found.append(posteriors(model, examples(6, seed=2).inputs))
    np.testing.assert_allclose(found[0], found[1], atol=2e-3)


@pytest.mark.parametrize("learning_rate", [0.01, 1e4])
def test_what_is_kept_is_the_best_on_dev_and_the_frozen_encoder_counts(encoders, learning_rate):
    """A rate that wrecks the encoder leaves the head that began, and the encoder as it was."""
    head = LayersParams(max_epochs=60, learning_rate=0.05, patience=60)
    params = SMALL.model_copy(
        update={"learning_rate": learning_rate, "max_epochs": 3, "patience": 9, "head": head}
    )
    base, train, dev = encoders["hubert-layer"], examples(), examples(12, seed=1)

    def score(answers: np.ndarray) -> tuple[float, float]:
        target = np.array([CLASSES.index(e) for e in dev.emotion])
        right = answers.argmax(axis=1) == target
        return (
            float(np.mean([right[target == c].mean() for c in (0, 1)])),
            float(np.log(answers[np.arange(12), target]).mean()),
        )

    heard, dev_heard = (Inputs(layers=list(base.encode(e.inputs.waveform))) for e in (train, dev))
    frozen = LayeredModel(head, classes=CLASSES).fit(
        replace(train, inputs=heard), replace(dev, inputs=dev_heard), Fitting(3)
    )
    seen = [score(posteriors(frozen, dev_heard))]
    model = LoraModel(params, base, classes=CLASSES)
    model.fit(
        train, dev, Fitting(3, on_epoch=lambda _, v: seen.append((v["dev_uar"], -v["dev_loss"])))
    )
    assert len(seen) == 4
    np.testing.assert_allclose(score(posteriors(model, dev.inputs)), max(seen), atol=1e-5)


def test_files_hold_adapter_and_head_alone_and_come_back(encoders, model):
    files = model.to_files()
    assert set(files) == {"model.safetensors", "model.json", "adapter.safetensors", "adapter.json"}
    held_out = examples(6, seed=2).inputs
    back = LoraModel.from_files(files)
    np.testing.assert_array_equal(posteriors(back, held_out), posteriors(model, held_out))
    assert back.to_files() == files


def test_an_enrolled_head_learns_on_the_adapted_encoder(encoders):
    model = fit(encoders["hubert-layer"], enrolled=True)
    back = LoraModel.from_files(model.to_files())
    np.testing.assert_array_equal(back.enrolment.mean, model.enrolment.mean)
    np.testing.assert_allclose(
        model.enrolment.mean, model.embed(examples().inputs).mean(axis=0), atol=0.2
    )


def test_another_base_is_refused(encoders, model, tmp_path):
    save_encoder(tmp_path / "other", "wavlm-layer", seed=1)
    files = model.to_files()
    card = json.loads(files["adapter.json"])
    for name, refusal in (
        ("other", r"has SHA-256 .* the model was trained on"),
        ("gone", "not on this machine"),
    ):
        card["encoder"]["name"] = str(tmp_path / name)
        with pytest.raises(EncoderError, match=refusal):
            LoraModel.from_files({**files, "adapter.json": json.dumps(card).encode()})


@pytest.mark.parametrize(
    ("file", "content"),
    [("adapter.json", b"{}"), ("adapter.safetensors", b"cut"), ("model.json", b"{}")],
)
def test_bent_files_are_refused(encoders, model, file, content):
    with pytest.raises(BundleError, match="cannot be read"):
        LoraModel.from_files({**model.to_files(), file: content})


def test_an_adapter_of_another_rank_is_refused(model):
    files = model.to_files()
    card = json.loads(files["adapter.json"])
    card["params"]["rank"] = 4
    with pytest.raises(BundleError, match="not the 8 of this encoder and rank"):
        LoraModel.from_files({**files, "adapter.json": json.dumps(card).encode()})
    with pytest.raises(BundleError, match="not fitted"):
        LoraModel(SMALL, model.base, classes=CLASSES).to_files()
