import numpy as np
import pytest
import safetensors.numpy
import soundfile
from scipy.spatial.distance import mahalanobis

from ser.core.features.extract import extract
from ser.core.uncertainty.novelty import PERCENTILES, Novelty, Space
from ser.core.utterance.waveform import mono, resample
from ser.corpora.synthetic.speak import speak, utterances
from ser.errors import BundleError, TableError
from ser.params import FeatureParams, SyntheticParams
from support.sounds import SOUNDS

FEATURES = FeatureParams()


def drawn(n_speakers, *, clips=40, d=60, seed=0):
    """Embeddings of speakers who differ, correlated and on columns of unlike scale."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(8, d)) * np.geomspace(0.01, 100, d)
    speaker = np.repeat(np.arange(n_speakers), clips)
    voices = rng.normal(size=(n_speakers, 8))[speaker]
    latent = voices + rng.normal(size=(speaker.size, 8))
    own = rng.normal(size=(speaker.size, d)) * np.geomspace(0.01, 100, d)
    return latent @ mixing + own, speaker


@pytest.fixture(scope="module")
def learnt():
    embeddings, speaker = drawn(12)
    return Novelty.of(embeddings, speaker=speaker)


@pytest.fixture(scope="module")
def corpus():
    """Functionals and speakers of the embedded corpus: 6 speakers, 2 sentences."""
    planned = list(utterances(SyntheticParams(speakers=6, sentences=2), seed=7))
    rows = [functionals(speak(u, sr=FEATURES.sr)) for u in planned]
    return np.stack(rows), np.array([u.speaker for u in planned])


def functionals(y):
    return extract(y.astype(np.float32), params=FEATURES).functionals.to_numpy()


def test_what_was_trained_on_lies_at_about_one(learnt):
    embeddings, _ = drawn(12)
    assert np.sqrt(np.mean(learnt.distance(embeddings) ** 2)) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("percentile", [50, 90, 99])
def test_as_many_unseen_speakers_lie_within_the_limit_as_promised(percentile):
    embeddings, speaker = drawn(30)
    novelty = Novelty.of(embeddings, speaker=speaker)
    unseen, _ = drawn(200, clips=10, seed=1)
    within = 100 * (novelty.distance(unseen) <= novelty.limit(percentile)).mean()
    # Rather more: what is served knows more speakers than the spaces that set the limit.
    assert percentile - 2 < within < percentile + 8


def test_unseen_speakers_are_further_than_known_ones():
    embeddings, speaker = drawn(4)
    novelty = Novelty.of(embeddings, speaker=speaker)
    known = np.quantile(novelty.distance(embeddings), 0.95)
    assert novelty.limit(95) > known


def test_strangeness_counts_along_the_components_and_beyond_them(learnt):
    space = learnt.space
    step = 30 * space.spread[0]
    along = space.mean + step * space.components[:, 0] * space.scale
    beyond = np.random.default_rng(0).normal(size=space.mean.size)
    beyond -= space.components @ (space.components.T @ beyond)
    beyond = space.mean + 30 * space.rest * beyond / np.linalg.norm(beyond) * space.scale
    far = learnt.distance(np.stack([along, beyond]))
    assert (far > 3 * learnt.limit(100)).all()


def test_speakers_weigh_alike_however_much_they_said():
    embeddings, speaker = drawn(10)
    embeddings[speaker == 0] *= 3
    often = np.concatenate([np.flatnonzero(speaker > 0), *[np.flatnonzero(speaker == 0)] * 30])
    alike = Novelty.of(embeddings, speaker=speaker).limit(80)
    # Only the spread of the strange one's many utterances may move the limit, not their number.
    assert Novelty.of(embeddings[often], speaker=speaker[often]).limit(80) < 2 * alike


def test_the_unit_of_a_column_does_not_matter(learnt):
    embeddings, speaker = drawn(12)
    factor = np.geomspace(1e-2, 1e3, embeddings.shape[1])
    rescaled = Novelty.of(embeddings * factor, speaker=speaker)
    np.testing.assert_allclose(
        rescaled.distance(embeddings * factor), learnt.distance(embeddings), rtol=1e-6
    )


def test_distance_equals_mahalanobis_where_all_components_are_kept():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(500, 2)) @ np.array([[2.0, 0.0], [1.5, 0.5]])
    space = Space.of(embeddings)
    inverse = np.linalg.inv(np.cov(embeddings.T, bias=True))
    expected = [mahalanobis(row, embeddings.mean(axis=0), inverse) for row in embeddings]
    # Two columns: one component, and one direction beyond, which weigh alike.
    np.testing.assert_allclose(space.distance(embeddings) * np.sqrt(2), expected, rtol=1e-6)


def test_columns_that_never_vary_do_no_harm():
    embeddings, speaker = drawn(6)
    embeddings[:, 3] = 7.0
    novelty = Novelty.of(embeddings, speaker=speaker)
    assert np.isfinite(novelty.distance(embeddings)).all()


def test_what_is_not_finite_is_infinitely_strange(learnt):
    broken = np.zeros((2, 60))
    broken[1, 5] = np.nan
    far = learnt.distance(broken)
    assert np.isfinite(far[0])
    assert far[1] == np.inf


def test_arrays_bring_the_same_distances_back(learnt):
    stored = safetensors.numpy.load(safetensors.numpy.save(learnt.to_arrays()))
    again = Novelty.from_arrays(stored)
    embeddings, _ = drawn(5, seed=5)
    np.testing.assert_allclose(again.distance(embeddings), learnt.distance(embeddings), rtol=1e-5)
    assert again.limit(99) == learnt.limit(99)


def test_equal_training_gives_equal_arrays(learnt):
    embeddings, speaker = drawn(12)
    again = Novelty.of(embeddings, speaker=speaker).to_arrays()
    for name, value in learnt.to_arrays().items():
        np.testing.assert_array_equal(again[name], value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mean": None}, "expected mean and scale"),
        ({"components": np.zeros((3, 3))}, r"'components': \(3, 3\)"),
        ({"held_out": np.full(PERCENTILES.shape, np.nan)}, "not finite"),
        ({"rest": np.zeros(1)}, "not positive"),
    ],
)
def test_arrays_of_something_else_are_refused(learnt, change, says):
    arrays = {k: v for k, v in {**learnt.to_arrays(), **change}.items() if v is not None}
    with pytest.raises(BundleError, match=says):
        Novelty.from_arrays(arrays)


def test_one_speaker_tells_nothing_of_others():
    embeddings, _ = drawn(1)
    with pytest.raises(TableError, match="at least 2"):
        Novelty.of(embeddings, speaker=np.zeros(len(embeddings)))


def test_an_embedding_that_is_not_finite_is_refused():
    embeddings, speaker = drawn(3)
    embeddings[0, 0] = np.inf
    with pytest.raises(TableError, match="NaN or infinite"):
        Novelty.of(embeddings, speaker=speaker)


def test_sounds_are_out_of_domain_and_unseen_speakers_are_not(corpus):
    rows, speaker = corpus
    unseen = np.isin(speaker, np.unique(speaker)[:2])
    novelty = Novelty.of(rows[~unseen], speaker=speaker[~unseen])
    limit = novelty.limit(99)
    assert np.median(novelty.distance(rows[unseen])) < limit
    strange = [functionals(make(1.5)) for name, make in SOUNDS.items() if name != "silence"]
    assert novelty.distance(np.stack(strange)).min() > limit


def test_two_kinds_of_speech_are_told_apart(real_corpora, corpus):
    """Actors beside synthetic voices, as another corpus would be."""
    rows, speaker = corpus
    novelty = Novelty.of(rows, speaker=speaker)
    files = sorted((real_corpora / "ravdess").rglob("*.flac"))[::180]
    heard = [soundfile.read(file, dtype="float32") for file in files]
    actors = [functionals(resample(mono(y), sr_in=sr, sr_out=FEATURES.sr)) for y, sr in heard]
    assert (novelty.distance(np.stack(actors)) > novelty.limit(99)).all()
