"""A gate that judges on corpora which no stage reads."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from flows.gate.held_back import load
from flows.gate.judging import TRAINING_SET, judge_version
from ser import api
from ser.bundle import bundle_sha256, load_bundle, save_bundle
from ser.corpora.synthetic.speak import speak, utterances
from ser.errors import LeakageError, MissingCorpus, ParamsError
from ser.files import file_hash
from ser.io.storage.tables import read_table, write_table
from ser.io.tracking import runs
from ser.io.tracking.registry import journal, promotion, registration
from ser.io.tracking.registry.versions import Version
from ser.params import Params, SyntheticParams, load_params
from ser.predictor import Predictor
from ser.project import BUNDLE, FOLDS, MANIFEST, PREDICTIONS
from support.project import Project

CALLERS = "callers"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people whom the embedded corpus does not have, as folders EMOTION/SPEAKER."""
    folder = tmp_path_factory.mktemp("recordings")
    for one in utterances(SyntheticParams(speakers=2, sentences=1), seed=11):
        path = folder / one.emotion / one.speaker / Path(one.file).name
        path.parent.mkdir(parents=True)
        soundfile.write(path, speak(one), 16_000)
    return folder


def held_back(project: Project, recordings: Path) -> Params:
    done = project.run("ser.cli", "corpus", "add", "folder", str(recordings), "--name", CALLERS)
    assert done.returncode == 0, done.stderr
    project.set(gate__corpora=[CALLERS])
    return load_params(project.root / "params.yaml")


def posteriors(predictor: Predictor, clip: Path) -> dict[str, float]:
    y, sr = soundfile.read(clip, dtype="float32")
    return dict(predictor.predict(y, sr=sr).posteriors)


def registered(project: Project, number: int, folder: Path) -> Version:
    """A version of the trained bundle, tested on the project's split."""
    with runs.start_run(project.root, name="test", params={}) as run:
        run.log_artifact(project.root / PREDICTIONS, "reports")
    bundle = load_bundle(project.root / BUNDLE)
    directory = folder / str(number)
    save_bundle(replace(bundle, card={**bundle.card, "number": number}), directory)
    return registration.register(
        project.root,
        directory,
        run_id=run.run_id,
        bundle_sha256=bundle_sha256(directory),
        scores={},
        tags={"split_sha256": "s"},
    )


def test_a_verdict_rests_on_them_alone_and_no_score_of_them_is_written(
    project: Project, recordings: Path, tmp_path: Path
) -> None:
    before = {path: file_hash(project.root / path) for path in (FOLDS, PREDICTIONS)}
    version = registered(project, 1, tmp_path)
    on_test = judge_version(project.root, load_params(project.root / "params.yaml"), version, None)
    params = held_back(project, recordings)

    def judge(champion: Version | None):
        return judge_version(project.root, params, version, champion)

    version, verdict = promotion.attempt(project.root, version, judge)

    assert (verdict.held_back, verdict.comparisons) == ((CALLERS,), 1)
    assert verdict.tested != on_test.tested
    assert journal.rows(project.root)[-1]["held_back"] == CALLERS
    # By another route: the same recordings, as a program would ask about them.
    model = api.load(project.root / BUNDLE)
    for rule in verdict.rules:
        name, _, emotion = rule.name.partition(" of ")
        if name == "recall":
            clips = sorted((recordings / emotion).rglob("*.wav"))
            raw = [posteriors(model.predictor, clip) for clip in clips]
            right = [max(one, key=one.__getitem__) == emotion for one in raw]
            assert rule.figure == pytest.approx(sum(right) / len(clips))
    assert {path: file_hash(project.root / path) for path in before} == before
    assert judge(None).comparisons == 2
    assert on_test.held_back == ()


def test_the_champion_answers_them_too_but_no_speaker_whom_it_was_trained_on(
    project: Project, recordings: Path, tmp_path: Path
) -> None:
    champion, challenger = (registered(project, number, tmp_path) for number in (1, 2))
    params = held_back(project, recordings)
    verdict = judge_version(project.root, params, challenger, champion)
    assert verdict.reason.startswith("Equal: it labels all 12 ")

    # It was trained on them, before they were held back.
    own = read_table(project.root / MANIFEST)
    trained = load(project.root, params, own, load_bundle(project.root / BUNDLE).classes)
    write_table(trained[["speaker", "audio_sha256", "fingerprint"]], tmp_path / TRAINING_SET)
    runs.resume_run(project.root, champion.run_id).log_artifact(tmp_path / TRAINING_SET)
    verdict = judge_version(project.root, params, challenger, champion)
    assert "was trained on all test speakers of callers" in verdict.reason


def test_a_recording_that_is_trained_on_too_is_refused_under_any_name(
    project: Project, recordings: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(recordings, folder)
    clip = next((project.root / "data/raw/synthetic").rglob("*_anger_*.wav"))
    (folder / "anger" / "anna").mkdir()
    y, sr = soundfile.read(clip)
    # Levelled anew, so that neither bytes nor samples are the same.
    soundfile.write(folder / "anger" / "anna" / "one.wav", 0.7 * y, sr)
    version = registered(project, 1, tmp_path)
    with pytest.raises(LeakageError, match="first callers/anna") as caught:
        judge_version(project.root, held_back(project, folder), version, None)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_held_back_is_said_before_anything_is_trained(project: Project) -> None:
    from flows.request import check_corpora

    path = project.root / "params.yaml"
    for name, words in (("synthetic", "made by the pipeline"), ("calls", "name it in one of both")):
        project.set(gate__corpora=[name], data__corpora=["calls"])
        with pytest.raises(ParamsError, match=words):
            load_params(path)
    project.set(gate__corpora=["cremad"], data__corpora=["synthetic"])
    with pytest.raises(MissingCorpus, match=r"gate\.corpora names cremad"):
        check_corpora(project.root, load_params(path))
