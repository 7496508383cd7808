"""Members answer together; networks are trained in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser.errors import BundleError, StageError, TableError
from ser.models.base import Examples, Fitting, Inputs
from ser.models.build import build_model, model_from_files
from ser.models.ensemble import members
from ser.models.ensemble.model import places_left_out, pool_weights
from ser.models.voices import posteriors, posteriors_by_speaker, voice_of
from ser.params import EnsembleParams, ModelParams, TrainParams

CLASSES = ("neutral", "happiness", "anger")
N_MELS = 16
PARAMS = ModelParams(
    name="ensemble",
    ensemble={"members": ("cnn", "cnn", "lda")},
    cnn={"channels": 4, "width": 12, "dropout": 0.2},
)
SHORT = TrainParams(max_epochs=5, batch_size=8, learning_rate=0.01, average=0.8)


def examples(n: int = 48, *, seed: int = 0) -> Examples:
    """A raised band is the emotion; the functionals are the bands' means."""
    rng = np.random.default_rng(seed)
    emotion = np.arange(n) % 3
    log_mel = []
    for label in emotion:
        x = rng.normal(-40, 6, size=(int(rng.integers(30, 50)), N_MELS))
        x[:, 2 + 4 * label : 6 + 4 * label] += 6
        log_mel.append(x.astype(np.float16))
    frame = pd.DataFrame([x.mean(axis=0, dtype=float) for x in log_mel])
    frame.columns = [f"log_mel_{i:02d}_mean" for i in range(N_MELS)]
    speaker = np.array([f"s{i // 3 % 4}" for i in range(n)])
    return Examples(Inputs(frame, log_mel), np.asarray(CLASSES)[emotion], speaker)


def fit(params: ModelParams = PARAMS, train: TrainParams = SHORT, **options):
    model = build_model(params, train, classes=CLASSES)
    return model.fit(examples(), examples(24, seed=1), Fitting(3, **options))


@pytest.fixture
def one_core(monkeypatch):
    """Networks are trained in this process, one after the other: no start-up to wait for."""
    monkeypatch.setattr(members, "cpu_count", lambda: 1)


@pytest.fixture(scope="module")
def model():
    """Trained in processes of their own."""
    return fit()


def test_an_ensemble_answers_with_distributions_that_beat_chance(model):
    held_out = examples(60, seed=2)
    found = posteriors(model, held_out.inputs)
    assert found.shape == (60, 3)
    assert np.allclose(found.sum(axis=1), 1)
    assert (np.asarray(CLASSES)[found.argmax(axis=1)] == held_out.emotion).mean() > 0.7


def test_two_networks_of_an_ensemble_differ(model):
    first, second, _ = model.members
    assert first.to_files() != second.to_files()


@pytest.mark.parametrize("names", [("cnn", "cnn", "lda"), ("cnn", "lda", "cnn", "cnn"), ("lda",)])
@pytest.mark.parametrize("speakers", [1, 2, 5])
def test_every_dev_speaker_is_left_out_by_a_member_of_each_name(names, speakers):
    speaker = np.repeat([f"s{i}" for i in range(speakers)], 3)
    rows = [places_left_out(place, names, speaker) for place in range(len(names))]
    for name in set(names):
        parts = [part for part, own in zip(rows, names, strict=True) if own == name]
        assert set(np.concatenate(parts)) == set(range(len(speaker)))
    for part in rows:
        # Speakers are left out whole.
        assert set(speaker[part]).isdisjoint(np.delete(speaker, part))
        assert len(part)


def test_each_network_answers_for_the_speakers_that_it_did_not_hear(one_core):
    train, dev = examples(), examples(24, seed=1)
    model = fit()
    rest = dev.take(places_left_out(0, model.names, dev.speaker))
    heard = train.and_of(dev.take(np.flatnonzero(~np.isin(dev.speaker, rest.speaker))))
    first = build_model(PARAMS.model_copy(update={"name": "cnn"}), SHORT, classes=CLASSES)
    first.fit(heard, rest, Fitting(int(np.random.SeedSequence([3, 1]).generate_state(1)[0])))
    np.testing.assert_allclose(first.dev_posteriors, model.members[0].dev_posteriors, atol=1e-3)
    assert model.dev_posteriors.shape == (1, 24, 3)
    np.testing.assert_allclose(model.dev_posteriors.sum(axis=-1), 1)


def test_files_bring_back_the_same_ensemble(model):
    files = model.to_files()
    again = model_from_files("ensemble", files)
    inputs = examples(9, seed=2).inputs
    assert np.array_equal(posteriors(again, inputs), posteriors(model, inputs))
    assert again.to_files() == files
    assert again.kinds == {"functionals", "log_mel"}
    assert again.n_parameters == model.n_parameters


def test_networks_apart_learn_what_they_learn_here(model, one_core):
    assert fit().to_files() == model.to_files()


def test_each_epoch_is_reported_once_with_the_mean_of_all_networks(one_core):
    rows: list[tuple[int, dict]] = []
    fit(on_epoch=lambda epoch, values: rows.append((epoch, dict(values))))
    assert [epoch for epoch, _ in rows] == list(range(5))
    assert {"train_loss", "dev_uar"} <= set(rows[-1][1])


def test_an_enrolled_ensemble_takes_enrolment_in_all_members(one_core):
    enrolled = fit(enrolled=True)
    held_out = examples(24, seed=2)
    known = posteriors_by_speaker(enrolled, held_out)
    rows = np.flatnonzero(held_out.speaker == "s1")
    own = held_out.inputs.take(rows)
    again = model_from_files("ensemble", enrolled.to_files())
    assert np.allclose(posteriors(again, own, voice=voice_of(again, own)), known[rows])
    unknown = posteriors(again, own)
    # Emotions that are this plain are told apart by anyone: the voice shows in the logarithms.
    assert not np.allclose(np.log(unknown), np.log(known[rows]), atol=0.01)


def test_a_member_without_enrolment_takes_its_embeddings_as_they_are():
    params = ModelParams(name="ensemble", ensemble={"members": ("lda", "svc")})
    both = build_model(params, SHORT, classes=CLASSES)
    lda, svc = both.members
    fit_svc = svc.fit
    svc.fit = lambda train, dev, fitting: fit_svc(train, dev, replace(fitting, enrolled=False))
    both.fit(examples(), examples(24, seed=1), Fitting(3, enrolled=True))
    own = examples(24, seed=2).inputs
    voice = voice_of(both, own)
    for place, member in enumerate((lda, svc)):
        both.weights = {"lda": 1.0 - place, "svc": float(place)}
        alone = posteriors(member, own, voice=voice_of(member, own))
        np.testing.assert_allclose(posteriors(both, own, voice=voice), alone, atol=1e-9)


def test_a_stack_is_made_of_classical_models_alone():
    stack = fit(ModelParams(name="stack"))
    assert set(stack.weights) == {"lda", "svc", "logistic_regression"}
    assert stack.kinds == {"functionals"}
    assert model_from_files("stack", stack.to_files()).to_files() == stack.to_files()
    held_out = examples(60, seed=2)
    found = posteriors(stack, held_out.inputs)
    assert (np.asarray(CLASSES)[found.argmax(axis=1)] == held_out.emotion).mean() > 0.8


def test_an_error_in_a_process_is_the_caller_s():
    nobody = examples().take(np.arange(0))
    networks = PARAMS.model_copy(update={"ensemble": EnsembleParams(members=("cnn", "cnn"))})
    with pytest.raises(TableError, match="no utterance to train on"):
        build_model(networks, SHORT, classes=CLASSES).fit(nobody, examples(3), Fitting(1))


def test_a_process_that_is_killed_is_a_line_and_training_goes_on_later(tmp_path, monkeypatch):
    # So many epochs that no process has ended before the second one is known here.
    train = SHORT.model_copy(update={"max_epochs": 15})

    def on_epoch(epoch, _):
        if epoch == 1:
            for child in training(os.getpid()):
                os.kill(child, signal.SIGKILL)

    with pytest.raises(StageError, match="cnn ended with status -9"):
        fit(train=train, workdir=tmp_path, on_epoch=on_epoch)
    again = fit(train=train, workdir=tmp_path).to_files()
    monkeypatch.setattr(members, "cpu_count", lambda: 1)
    assert again == fit(train=train).to_files()


LONG = """
import os, sys
sys.path.insert(0, {folder!r})
from test_ensemble import SHORT, fit
if __name__ == "__main__":
    fit(train=SHORT.model_copy(update={{"max_epochs": 5000}}),
        on_epoch=lambda epoch, values: print(epoch, flush=True))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_a_training_that_was_stopped(tmp_path, how):
    script = tmp_path / "train.py"
    script.write_text(LONG.format(folder=__file__.rpartition("/")[0]))
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        process.stdout.readline()
        workers = training(process.pid)
        process.send_signal(how)
        process.wait(30)
    assert len(workers) >= 2
    deadline = time.monotonic() + 30
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_weights_favour_the_member_that_is_right():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 300)
    good = np.full((300, 3), 0.1)
    good[np.arange(300), np.where(rng.random(300) < 0.8, target, (target + 1) % 3)] = 0.8
    noise = rng.dirichlet(np.ones(3), 300)
    weights = pool_weights(np.log(np.stack([noise, good])), target)
    assert weights[1] == pytest.approx(1, abs=0.2)
    assert weights[0] < 0.1
    assert (weights >= 0).all()


@pytest.mark.parametrize(
    "harm",
    [
        lambda files: {},
        lambda files: {k: v for k, v in files.items() if not k.startswith("2.cnn")},
        lambda files: {**files, "ensemble.json": b"{"},
        lambda files: {
            **files,
            "ensemble.json": json.dumps(
                {**json.loads(files["ensemble.json"]), "weights": {"cnn": 1}}
            ).encode(),
        },
    ],
    ids=["none", "a member lacks", "no JSON", "a weight lacks"],
)
def test_broken_files_are_bundle_errors(model, harm):
    with pytest.raises(BundleError):
        model_from_files("ensemble", harm(model.to_files()))


def training(pid: int) -> list[int]:
    """The processes that train networks for `pid`: children of the server that it started."""
    # Unlimited width: else COLUMNS, or a long path to Python, cuts the arguments off.
    listing = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in listing.stdout.splitlines()]
    servers = {own for own, parent, args in rows if parent == str(pid) and "forkserver" in args}
    return [int(own) for own, parent, _ in rows if parent in servers]


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_some_networks_do_not_tell_is_not_averaged():
    told, heard = [], []
    report = members._Means(2, lambda epoch, values: told.append((epoch, values)),
                            lambda epoch, values: heard.append(epoch))  # fmt: skip
    report(0, {"train_loss": 1.0})
    report(0, {"train_loss": 3.0, "learning_rate": 0.1})
    assert told == [(0, {"train_loss": 2.0})]
    assert heard == [0, 0]
