"""Several corpora in one training: each counts alike. Of one corpus nothing changes."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ser.models.balance import corpus_weights, epoch_order
from ser.models.base import Examples, Fitting, Inputs
from ser.models.build import build_model
from ser.models.classical.discriminants import fit_discriminants
from ser.models.networks.batches import TrainingBatches, Utterances
from ser.models.torch_models import class_weight
from ser.models.voices import posteriors
from ser.params import MODELS, LogMelAugmentParams, MachineParams, ModelParams, TrainParams
from ser.params.models import CLASSICAL

CLASSES = ("neutral", "anger")
MODEL = ModelParams(
    name="cnn",
    cnn={"channels": 4, "width": 12},
    random_forest={"trees": 12},
    gradient_boosting={"rounds": 8},
    mlp={"hidden": (8,), "epochs": 20},
)
SHORT = TrainParams(max_epochs=2, batch_size=12, augment=LogMelAugmentParams(mixup=0.0))
LARGE, SMALL = 60, 20


def two_corpora(seed: int = 0) -> Examples:
    """A large corpus of short utterances, and a small one of long ones that expresses its emotions
    the other way round."""
    rng = np.random.default_rng(seed)
    n = LARGE + SMALL
    corpus = np.repeat(["large", "small"], [LARGE, SMALL])
    emotion, small = np.arange(n) % 2, corpus == "small"
    values = rng.normal(size=(n, 3))
    values[:, 0] += 2.0 * np.where(small, -1, 1) * (2 * emotion - 1)
    # Which corpus it is can be seen, too.
    values[:, 1] += 3.0 * small
    log_mel = [
        rng.normal(-40, 6, (int(rng.integers(60, 90) if own else rng.integers(20, 40)), 16))
        for own in small
    ]
    frame = pd.DataFrame(values.astype(np.float32), columns=["mfcc_0", "mfcc_1", "mfcc_2"])
    speaker = np.char.add(corpus, (np.arange(n) // 2 % 5).astype(str))
    return Examples(
        Inputs(functionals=frame, log_mel=[x.astype(np.float16) for x in log_mel]),
        np.asarray(CLASSES)[emotion],
        speaker,
        corpus=corpus,
    )


def fitted(name: str, examples: Examples, **options):
    chosen = MODEL.model_copy(update={"name": name})
    model = build_model(chosen, SHORT, classes=CLASSES, machine=MachineParams(threads=1))
    return model.fit(examples, examples.take(np.arange(0, len(examples), 3)), Fitting(3, **options))


def unbalanced(examples: Examples) -> Examples:
    return replace(examples, corpus=None)


@pytest.mark.parametrize("by_speaker", [False, True])
def test_each_batch_draws_the_corpora_evenly(by_speaker):
    examples = two_corpora()
    utterances = Utterances.of(examples, CLASSES)
    batches = TrainingBatches(
        utterances, n_classes=2, params=SHORT, seed=1, epoch=0, by_speaker=by_speaker
    )
    rng = np.random.default_rng([1, 0])
    rows = list(batches._rows_by_speaker(rng) if by_speaker else batches._rows(rng))
    assert len(rows) == len(batches) == len(list(batches))
    if not by_speaker:
        for batch in rows:
            counts = Counter(utterances.corpus[batch])
            assert abs(counts["large"] - counts["small"]) <= 1
    else:
        # A batch of three speakers has one or two of each corpus; the last one may be smaller.
        corpora = [set(examples.corpus[batch]) for batch in rows[:-1]]
        assert corpora == [{"large", "small"}] * 3
    every = np.concatenate(rows)
    # The small corpus's utterances come about equally often, each of the others once at most.
    times = Counter(every.tolist())
    assert {times[i] for i in range(LARGE, LARGE + SMALL)} <= ({2} if not by_speaker else {1, 2, 3})
    assert max(times[i] for i in range(LARGE)) == 1


def test_without_corpora_batches_are_drawn_as_ever():
    """All utterances in random order, cut by their lengths."""
    utterances = Utterances.of(unbalanced(two_corpora()), CLASSES)
    length = np.array([len(x) for x in utterances.log_mel])
    batches = TrainingBatches(utterances, n_classes=2, params=SHORT, seed=1, epoch=0)
    rng = np.random.default_rng([1, 0])
    order = np.random.default_rng([1, 0]).permutation(80)
    pool = order[np.argsort(length[order], kind="stable")]
    expected = np.array_split(pool, 7)
    found = list(batches._rows(rng))
    assert sorted(map(tuple, found)) == sorted(map(tuple, expected))


@pytest.mark.parametrize("seed", range(5))
def test_an_epoch_has_each_corpus_equally_often(seed):
    corpus = np.repeat(["a", "b", "c"], [50, 7, 20])
    order = epoch_order(77, corpus, np.random.default_rng(seed))
    assert set(Counter(corpus[order]).values()) == {26}
    assert set(np.bincount(order)[50:57]) <= {3, 4}
    assert len(set(order[corpus[order] == "a"])) == 26


def test_discriminants_weigh_as_if_the_small_corpus_were_repeated():
    examples = two_corpora()
    x = examples.inputs.functionals.to_numpy(float)
    target = np.arange(len(x)) % 2
    repeated = np.concatenate([np.arange(LARGE), *[np.arange(LARGE, LARGE + SMALL)] * 3])
    weighed = fit_discriminants(x, target, shrinkage=0.3, weight=corpus_weights(examples.corpus))
    expected = fit_discriminants(x[repeated], target[repeated], shrinkage=0.3)
    np.testing.assert_allclose(weighed.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(weighed.intercept_, expected.intercept_, rtol=1e-9)


def test_equal_weights_change_no_discriminant():
    x = np.random.default_rng(0).normal(size=(40, 90))
    target = np.arange(40) % 3
    plain = fit_discriminants(x, target, shrinkage=0.3)
    weighed = fit_discriminants(x, target, shrinkage=0.3, weight=np.full(40, 2.0))
    np.testing.assert_allclose(weighed.coef_, plain.coef_, rtol=1e-9)


@pytest.mark.parametrize("enrolled", [False, True])
@pytest.mark.parametrize("name", [n for n, entry in MODELS.items() if entry.path == CLASSICAL])
def test_every_classical_model_is_trained_with_weights(name, enrolled):
    """One column says opposite things in the two corpora: the larger one decides less."""
    examples = two_corpora()
    small = examples.inputs.take(np.arange(LARGE, LARGE + SMALL))
    right = np.arange(SMALL) % 2

    def probability(data: Examples) -> float:
        model = fitted(name, data, enrolled=enrolled)
        return float(posteriors(model, small)[np.arange(SMALL), right].mean())

    plain = probability(unbalanced(examples))
    balanced = probability(examples)
    assert balanced != plain
    if not enrolled:
        assert balanced > plain - 0.01


def test_a_network_is_trained_evenly_too():
    examples = two_corpora()
    files = [fitted("cnn", data).to_files() for data in (examples, unbalanced(examples))]
    assert files[0] != files[1]


def test_emotions_weigh_as_they_are_drawn():
    """Anger is rare in the large corpus alone: drawn evenly, it is less rare."""
    corpus = np.repeat(["large", "small"], [90, 10])
    target = np.concatenate([[0] * 80, [1] * 10, [0] * 5, [1] * 5])
    weights = corpus_weights(corpus)
    counts = np.array([weights[target == k].sum() for k in (0, 1)])
    found = class_weight(torch.from_numpy(target), 2, corpus)
    np.testing.assert_allclose(found, 100 / (2 * counts), rtol=1e-6)


def test_corpora_stay_with_their_utterances():
    examples = two_corpora()
    both = examples.and_of(examples.take(np.arange(LARGE, LARGE + 4)))
    assert Counter(both.corpus) == {"large": 60, "small": 24}
    version = replace(examples, augmented=(examples.inputs,)).with_augmented()
    assert version.corpus.tolist() == [*examples.corpus, *examples.corpus]
    assert unbalanced(examples).and_of(unbalanced(examples)).corpus is None


@pytest.mark.parametrize("name", ["lda", "logistic_regression"])
def test_a_version_of_a_small_share_counts_little(name):
    """The version expresses its emotions the other way round."""
    own = two_corpora().take(np.arange(LARGE))
    frame = own.inputs.functionals
    contrary = Inputs(functionals=frame.assign(mfcc_0=-frame["mfcc_0"]))

    def right(shares: tuple[float, ...]) -> float:
        some = Examples(
            Inputs(functionals=frame), own.emotion, own.speaker, (contrary,), shares=shares
        )
        model = fitted(name, some)
        posteriors = model.classify(model.embed(some.inputs))
        return float(np.mean(np.asarray(CLASSES)[posteriors.argmax(axis=1)] == own.emotion))

    assert right((1.0, 0.05)) > 0.9
    assert right((0.05, 1.0)) < 0.1
