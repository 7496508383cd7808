"""`ser explain`: text, JSON, WAV files, pages, and what it refuses."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile

from ser.io.audio.read import load_mono


@pytest.fixture(scope="module")
def clip(trained):
    return next((trained.root / "data/raw/synthetic").rglob("*.wav"))


@pytest.fixture(scope="module")
def explained(trained, clip, tmp_path_factory):
    """One call that writes all there is, beside a file that is missing."""
    folder = tmp_path_factory.mktemp("explained")
    # A name that a shell and HTML would stumble over.
    odd = folder / "mój <głos> 1.wav"
    shutil.copy(clip, odd)
    done = trained.call(
        *("ser.cli", "explain", str(odd), str(folder / "none.wav"), "--model", "models/bundle"),
        *("--json", "--out", str(folder / "out"), "--html", str(folder / "why.html")),
    )
    return done, folder


def test_json_has_an_explanation_for_each_file_and_status_1_for_one_that_fails(explained):
    done, _ = explained
    assert done.returncode == 1
    found, missing = json.loads(done.stdout)
    assert found["schema"] == "ser.explanation/1"
    assert "none.wav" in missing["error"]
    assert done.stderr.count("\n") == 1
    attributions = found["attributions"]
    odds = np.log(
        found["posteriors"][attributions["answer"]] / found["posteriors"][attributions["other"]]
    )
    groups = attributions["functionals"]
    total = groups["usual"] + sum(group["value"] for group in groups["groups"])
    assert total == pytest.approx(odds, abs=1e-6)
    assert [one["name"] for one in found["counterfactuals"]["dimensions"]] == [
        *("F0", "F0 range", "speaking rate", "level", "spectral tilt")
    ]


def test_each_change_that_turns_the_answer_is_written_and_is_answered_so(trained, explained):
    from ser.api import load

    done, _ = explained
    found = json.loads(done.stdout)[0]
    turns = [t for one in found["counterfactuals"]["dimensions"] for t in one["turns"]]
    resynthesis, *written = found["written"]
    assert len(written) == len(turns)
    model = load(trained.root / "models/bundle")
    answer = model.predict(resynthesis)
    assert answer.emotion == found["counterfactuals"]["resynthesis"]["emotion"]
    for path, turn in zip(written, turns, strict=True):
        assert model.predict(path).emotion == turn["emotion"]


def test_the_page_holds_all_in_itself_and_plays(explained):
    done, folder = explained
    page = (folder / "why.html").read_text(encoding="utf-8")
    assert "mój &lt;głos&gt; 1.wav" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    found = json.loads(done.stdout)[0]
    assert page.count("<audio") == 1 + len(found["written"])


def test_the_text_fits_80_columns_and_says_what_it_is_not(trained, clip):
    done = trained.call("ser.cli", "explain", str(clip), "--model", "models/bundle")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80
    flat = " ".join(done.stdout.split())
    assert "Why " in flat
    assert "not why the person spoke so" in flat
    assert "the model brings every recording to −23 dB first" in flat


def test_a_recording_without_speech_has_its_reason_and_no_explanation(trained, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    done = trained.call(
        *("ser.cli", "explain", str(tmp_path / "silent.wav"), "--model", "models/bundle"),
        *("--html", str(tmp_path / "why.html")),
    )
    assert done.returncode == 0
    assert "no_speech" in done.stdout
    assert "Why" not in done.stdout
    assert "no_speech" in (tmp_path / "why.html").read_text()


def test_an_utterance_that_is_refused_as_strange_is_explained_all_the_same(trained, tmp_path):
    from dataclasses import replace

    from ser.bundle import load_bundle, save_bundle

    bundle = load_bundle(trained.root / "models/bundle")
    limit = bundle.abstention.model_copy(update={"max_novelty_percentile": 1.0})
    save_bundle(replace(bundle, abstention=limit), tmp_path / "strict")
    rng = np.random.default_rng(0)
    y, sr = load_mono(next((trained.root / "data/raw/synthetic").rglob("*.wav")))
    soundfile.write(tmp_path / "hiss.wav", y + 0.02 * rng.standard_normal(y.size), sr)
    done = trained.call(
        "ser.cli", "explain", str(tmp_path / "hiss.wav"), "--model", str(tmp_path / "strict")
    )
    assert "out_of_domain" in done.stdout
    assert "Farthest from the training speech:" in done.stdout
    assert "no answer to turn" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "joy"], "'joy' is no answer of this model, which answers with neutral"),
        (["--set", "test"], "takes recordings, or --set test"),
        (["--out", "/proc/none"], "cannot be written"),
        (["--html", "/proc/none/x.html"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(trained, clip, arguments, says):
    done = trained.call("ser.cli", "explain", str(clip), "--model", "models/bundle", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_the_model_rests_on_over_the_test_split(trained, tmp_path):
    page = tmp_path / "rests.html"
    done = trained.call(
        *("ser.cli", "explain", "--model", "models/bundle", "--set", "test", "--html", str(page))
    )
    assert done.returncode == 0, done.stderr
    assert "all functionals" in done.stdout
    assert "2 speakers" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    uar = float(re.search(r"UAR (\d\.\d{3})", done.stdout)[1])
    assert uar == pytest.approx(trained.json("reports/metrics.json")["test"]["uar"], abs=0.001)
    assert "MFCC covariances" in page.read_text()


def test_features_of_other_parameters_are_refused(project):
    from dataclasses import replace

    from ser.bundle import load_bundle, save_bundle

    bundle = load_bundle(project.root / "models/bundle")
    other = bundle.features.model_copy(update={"top_db": 60.0})
    save_bundle(replace(bundle, features=other), project.root / "models/other")
    done = project.call("ser.cli", "explain", "--model", "models/other", "--set", "test")
    assert done.returncode == 2
    assert "other parameters than the model's" in done.stderr
