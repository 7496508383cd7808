import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from ser.errors import BundleError, TableError
from ser.models.base import EmotionModel, Examples, Fitting, Inputs
from ser.models.build import build_model, model_from_files
from ser.models.classical.discriminants import fit_discriminants
from ser.models.classical.files import dump_estimator, load_estimator
from ser.models.voices import FEW_CLIPS, posteriors, posteriors_by_speaker, voice_of
from ser.params import MODELS, ModelParams, TrainParams
from ser.params.models import CLASSICAL

CLASSES = ("neutral", "happiness", "anger")
NAMES = [name for name, entry in MODELS.items() if entry.path == CLASSICAL]


def examples(n: int = 90, *, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> Examples:
    """Three overlapping clouds, one for each emotion."""
    rng = np.random.default_rng(seed)
    emotion = np.asarray(classes)[np.arange(n) % len(classes)]
    centre = 1.5 * np.eye(len(CLASSES), 6)[[CLASSES.index(e) for e in emotion]]
    values = (centre + rng.normal(size=(n, 6))).astype(np.float32)
    frame = pd.DataFrame(values, columns=[f"mfcc_{i:02d}_mean" for i in range(6)])
    speaker = np.array([f"s{i % 5}" for i in range(n)])
    return Examples(Inputs(functionals=frame), emotion, speaker)


def answer(model, frame: pd.DataFrame) -> np.ndarray:
    return posteriors(model, Inputs(functionals=frame))


def small(name: str) -> ModelParams:
    return ModelParams(
        name=name,
        random_forest={"trees": 12},
        gradient_boosting={"rounds": 8},
        mlp={"hidden": (16,), "epochs": 40, "learning_rate": 0.02},
    )


def fitted(name: str, **options) -> EmotionModel:
    model = build_model(small(name), TrainParams(), classes=CLASSES)
    return model.fit(examples(**options), examples(45, seed=1, **options), Fitting(3))


@pytest.fixture(scope="module", params=NAMES)
def model(request) -> EmotionModel:
    return fitted(request.param)


def test_posteriors_are_distributions_that_beat_chance(model):
    held_out = examples(120, seed=2)
    found = posteriors(model, held_out.inputs)
    assert found.shape == (120, 3)
    assert found.dtype == np.float64
    assert np.allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()
    predicted = np.asarray(CLASSES)[found.argmax(axis=1)]
    assert (predicted == held_out.emotion).mean() > 0.6


def test_the_largest_posterior_is_the_classifiers_own_answer(model):
    frame = examples(120, seed=2).inputs.functionals
    own = model.pipeline.predict(frame.to_numpy(np.float64))
    assert np.array_equal(answer(model, frame).argmax(axis=1), own)


def test_confidence_tells_right_from_wrong():
    held_out = examples(300, seed=2)
    found = posteriors(fitted("svc"), held_out.inputs)
    truth = [CLASSES.index(e) for e in held_out.emotion]
    log_loss = -np.log(found[np.arange(300), truth]).mean()
    assert log_loss < np.log(3) * 0.8


def test_files_bring_back_the_same_posteriors(model):
    files = model.to_files()
    again = model_from_files(model.name, files)
    frame = examples(30, seed=2).inputs.functionals
    assert np.array_equal(answer(again, frame), answer(model, frame))
    assert again.classes == model.classes
    assert again.to_files() == files


def test_the_same_seed_gives_the_same_bytes(model):
    assert fitted(model.name).to_files() == model.to_files()


PRINT_HASHES = """
import hashlib, sys
sys.path.insert(0, {folder!r})
from test_classical import NAMES, fitted
for name in NAMES:
    files = fitted(name).to_files()
    print(name, *(hashlib.sha256(data).hexdigest() for data in files.values()))
"""


def test_two_processes_write_the_same_bytes():
    script = PRINT_HASHES.format(folder=__file__.rpartition("/")[0])
    outs = []
    for salt in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": salt, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        outs.append(done.stdout)
    assert outs[0] == outs[1]
    assert len(outs[0].splitlines()) == len(NAMES)


@pytest.mark.parametrize("classes", [CLASSES, CLASSES[:2]])
@pytest.mark.parametrize("select", [None, 4])
def test_discriminants_answer_as_scikit_learn_s_own(classes, select):
    params = ModelParams(name="lda", lda={"select": select})
    model = build_model(params, TrainParams(), classes=classes)
    model.fit(examples(classes=classes), examples(45, seed=1, classes=classes), Fitting(3))
    x = model.embed(examples(40, seed=2).inputs)
    theirs = model.pipeline.predict_proba(x)
    np.testing.assert_allclose(model.classify(x), theirs, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([model.classify(row[None]) for row in x]), theirs)


def test_columns_are_found_by_name(model):
    frame = examples(30, seed=2).inputs.functionals
    shuffled = frame[frame.columns[::-1]].assign(extra=1.0)
    assert np.array_equal(answer(model, shuffled), answer(model, frame))


def test_a_missing_column_is_named(model):
    with pytest.raises(TableError, match="lack mfcc_02_mean"):
        answer(model, examples(5).inputs.functionals.drop(columns="mfcc_02_mean"))


def test_an_emotion_beyond_the_classes_is_refused():
    model = build_model(small("svc"), TrainParams(), classes=("neutral", "anger"))
    with pytest.raises(TableError, match="'happiness'"):
        model.fit(examples(), examples(), Fitting(0))


def test_a_class_without_training_examples_has_posterior_zero(model):
    poor = fitted(model.name, classes=("neutral", "anger"))
    found = posteriors(poor, examples(20, seed=2).inputs)
    assert (found[:, 1] == 0).all()
    assert np.allclose(found.sum(axis=1), 1)


def test_no_rows_give_no_posteriors(model):
    assert answer(model, examples(3).inputs.functionals.iloc[:0]).shape == (0, 3)


def test_sequences_are_refused(model):
    with pytest.raises(TableError, match="functionals"):
        posteriors(model, Inputs(log_mel=[np.zeros((10, 4))]))


def test_an_unknown_type_is_not_loaded():
    import skops.io

    pipeline = make_pipeline(StandardScaler(), FunctionTransformer(pd.eval)).fit(np.eye(3))
    files = {**fitted("svc").to_files(), "model.skops": skops.io.dumps(pipeline)}
    with pytest.raises(BundleError, match="eval"):
        model_from_files("svc", files)


def test_a_tree_that_points_outside_itself_is_not_loaded():
    rng = np.random.default_rng(0)
    pipeline = fitted("random_forest").pipeline
    tree = pipeline[-1].estimators_[0].tree_
    tree.children_left[0] = 1_000_000
    with pytest.raises(BundleError, match="points outside"):
        load_estimator(dump_estimator(pipeline), n_features=6)
    # A tree that hides where ours have none.
    lone = DecisionTreeClassifier().fit(rng.normal(size=(9, 6)), np.arange(9) % 2)
    lone.tree_.feature[0] = 77
    with pytest.raises(BundleError, match="points outside"):
        load_estimator(dump_estimator(make_pipeline(lone)), n_features=6)


def test_a_pickle_is_not_loaded(tmp_path):
    import pickle

    planted = tmp_path / "planted"

    class Bomb:
        def __reduce__(self):
            return (open, (str(planted), "w"))

    files = {**fitted("svc").to_files(), "model.skops": pickle.dumps(Bomb())}
    with pytest.raises(BundleError):
        model_from_files("svc", files)
    assert not planted.exists()


@pytest.mark.parametrize("cut", [0, 10, 400, -30])
def test_a_cut_file_is_a_bundle_error(cut):
    files = fitted("logistic_regression").to_files()
    with pytest.raises(BundleError):
        model_from_files(
            "logistic_regression", {**files, "model.skops": files["model.skops"][:cut]}
        )


def test_a_missing_file_is_a_bundle_error():
    with pytest.raises(BundleError, match=r"model\.json"):
        model_from_files("svc", {})


def test_the_files_of_another_model_are_refused():
    with pytest.raises(BundleError, match="hold a svc"):
        model_from_files("mlp", fitted("svc").to_files())


def test_archives_hold_no_addresses_and_no_dates(model):
    archive = zipfile.ZipFile(io.BytesIO(model.to_files()["model.skops"]))
    assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert "__id__" not in json.dumps(json.loads(archive.read("schema.json")))


def test_selection_keeps_the_functionals_that_tell_emotions_apart():
    params = ModelParams(name="lda", lda={"select": 3})
    model = build_model(params, TrainParams(), classes=CLASSES)
    model.fit(examples(300), examples(45, seed=1), Fitting(3))
    kept = model.pipeline[1].get_support()
    # Of six functionals the first three move with the emotion.
    assert kept.tolist() == [True] * 3 + [False] * 3
    again = model_from_files("lda", model.to_files())
    frame = examples(30, seed=2).inputs.functionals
    assert np.array_equal(answer(again, frame), answer(model, frame))


@pytest.mark.parametrize("name", ["lda", "svc", "random_forest"])
def test_dev_teaches_after_it_was_answered_for(name):
    train, dev = examples(60), examples(30, seed=1)
    nobody = dev.take(np.arange(0))

    def fit(first, second):
        return build_model(small(name), TrainParams(), classes=CLASSES).fit(
            first, second, Fitting(3)
        )

    model, alone, all_at_once = fit(train, dev), fit(train, nobody), fit(train.and_of(dev), nobody)
    # An SVC's temperature is what dev chose.
    alone.temperature = all_at_once.temperature = model.temperature
    np.testing.assert_allclose(model.dev_posteriors[-1], answer(alone, dev.inputs.functionals))
    held_out = examples(40, seed=2).inputs.functionals
    np.testing.assert_allclose(answer(model, held_out), answer(all_at_once, held_out))
    assert not np.allclose(answer(model, held_out), answer(alone, held_out))


def by_voice(n: int = 90, *, seed: int = 0) -> Examples:
    """The clouds of each speaker lie elsewhere."""
    own = examples(n, seed=seed)
    place = {name: np.random.default_rng(seed + i).normal(0, 4, 6) for i, name in
             enumerate(np.unique(own.speaker))}  # fmt: skip
    moved = own.inputs.functionals + np.stack([place[name] for name in own.speaker])
    # Another seed, other people.
    speaker = np.array([f"{seed}/{name}" for name in own.speaker])
    return Examples(Inputs(functionals=moved), own.emotion, speaker)


def test_knowing_the_speaker_helps(model):
    enrolled = build_model(small(model.name), TrainParams(), classes=CLASSES).fit(
        by_voice(), by_voice(45, seed=20), Fitting(3, enrolled=True)
    )
    held_out = by_voice(150, seed=40)
    truth = [CLASSES.index(e) for e in held_out.emotion]
    known = posteriors_by_speaker(enrolled, held_out)
    unknown = posteriors(enrolled, held_out.inputs)
    assert (known.argmax(axis=1) == truth).mean() > 0.6
    assert (known.argmax(axis=1) == truth).mean() > (unknown.argmax(axis=1) == truth).mean() + 0.1
    rows = np.flatnonzero(held_out.speaker == "40/s2")
    again = model_from_files(model.name, enrolled.to_files())
    voice = voice_of(again, held_out.inputs.take(rows))
    assert np.allclose(posteriors(again, held_out.inputs.take(rows), voice=voice), known[rows])


def test_the_number_of_parameters_is_what_was_learnt():
    assert fitted("lda").n_parameters >= 3 * 6 + 3
    few, many = (
        build_model(
            ModelParams(name="random_forest", random_forest={"trees": n}),
            TrainParams(),
            classes=CLASSES,
        ).fit(examples(), examples(45, seed=1), Fitting(3))
        for n in (5, 50)
    )
    assert many.n_parameters > 5 * few.n_parameters


@pytest.mark.parametrize("n_classes", [2, 3])
# With fewer rows than columns there is no covariance to invert unless it is shrunk.
@pytest.mark.parametrize(
    ("n", "shrinkage"),
    [(40, 0.2), (40, 0.7), (40, 1.0), (200, 0.0), (200, 0.2), (200, 0.7), (200, 1.0)],
)
def test_discriminants_are_scikit_learn_s_own(n_classes, shrinkage, n):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 120)) @ rng.normal(size=(120, 120))
    x -= x.mean(axis=0)
    target = rng.integers(0, n_classes, n)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(x, target)
    ours = fit_discriminants(x, target, shrinkage=shrinkage)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-8)


def altered_by(offset: float, examples: Examples) -> Examples:
    """With one version of each recording, whose functionals are moved."""
    version = Inputs(functionals=examples.inputs.functionals + np.float32(offset))
    return replace(examples, augmented=(version,))


@pytest.mark.parametrize("name", ["lda", "logistic_regression"])
def test_altered_versions_are_learnt_from(name):
    """Where augmented recordings lie, a model that has learnt from them is right."""
    train, dev, test = examples(150), examples(45, seed=1), examples(90, seed=2)
    moved = altered_by(4.0, test).augmented[0]

    def right(first, second):
        model = build_model(small(name), TrainParams(), classes=CLASSES)
        model.fit(first, second, Fitting(3))
        guess = np.asarray(CLASSES)[posteriors(model, moved).argmax(axis=1)]
        return (guess == test.emotion).mean()

    assert right(altered_by(4.0, train), altered_by(4.0, dev)) > right(train, dev) + 0.1


def test_dev_is_answered_by_how_much_is_known_of_its_speakers():
    model = build_model(small("lda"), TrainParams(), classes=CLASSES)
    dev = by_voice(seed=1)
    model.fit(by_voice(150), dev, Fitting(3, enrolled=True))
    assert model.dev_posteriors.shape == (len(FEW_CLIPS) + 1, 90, 3)
    true = np.array([CLASSES.index(e) for e in dev.emotion])
    right = (model.dev_posteriors.argmax(axis=2) == true).mean(axis=1)
    assert right[0] < right[3] <= right[4] + 0.05
    plain = fitted("lda")
    assert plain.dev_posteriors.shape == (1, 45, 3)


def test_who_is_answered_for_is_not_heard_in_a_version_either():
    """Versions that are the recordings again teach nothing new, least of all of one's own."""
    train, dev = by_voice(150), by_voice(seed=1)
    model = build_model(small("lda"), TrainParams(), classes=CLASSES)
    model.fit(altered_by(0.0, train), altered_by(0.0, dev), Fitting(3, enrolled=True))
    alone = build_model(small("lda"), TrainParams(), classes=CLASSES)
    alone.fit(train, dev, Fitting(3, enrolled=True))
    np.testing.assert_allclose(model.adaptation.means, alone.adaptation.means, rtol=1e-3)
