"""DVC's stages through the flow's eyes, on a pipeline of one-line scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows import stages
from flows.stages import Outcome, StageCrashed
from ser.errors import MissingCorpus, SerError, StageError
from ser.io.intake import dvc
from ser.params import Params

PIPELINE = """
stages:
  first:
    cmd: exec python first.py
    deps: [first.py]
    params: [seed]
    outs: [first.txt]
  second:
    foreach: ${data.corpora}
    do:
      cmd: exec python second.py ${item}
      deps: [first.txt, second.py]
      outs: ["${item}.txt"]
"""
SCRIPTS = {
    "first.py": "open('first.txt', 'w').write('1'); print('first speaks')",
    "second.py": "import sys; open(f'{sys.argv[1]}.txt', 'w').write('2')",
}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipeline")
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "params.yaml").write_text("seed: 1\ndata:\n  corpora: [a, b]\n")
    for name, code in SCRIPTS.items():
        (root / name).write_text(code)
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "dvc", "init", "-q", "--no-scm"]
    subprocess.run(command, cwd=root, env=environment, check=True)
    return root


@pytest.fixture(scope="module")
def made(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "pipeline"
    subprocess.run(["cp", "-r", fresh, root], check=True)
    for stage in ("first", "second@a", "second@b"):
        assert run(root, stage).did == "ran"
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """The pipeline after a run, the test's own to change."""
    copy = tmp_path / "pipeline"
    subprocess.run(["cp", "-r", made, copy], check=True)
    return copy


def run(root: Path, stage: str, lines: list[str] | None = None) -> Outcome:
    heard: list[str] = []
    outcome = stages.reproduce(root, stage, why="a reason", on_line=heard.append)
    if lines is not None:
        lines += heard
    return outcome


def test_stages_are_named_as_dvc_names_them(fresh: Path) -> None:
    params = Params(data={"corpora": ["synthetic", "ravdess"]})

    names = stages.stage_names(fresh, params)

    assert names == ["first", "second@synthetic", "second@ravdess"]


def test_the_projects_own_stages_are_all_found() -> None:
    root = Path(__file__).parents[2]
    names = stages.stage_names(root, Params())

    expected = [
        "synthesize",
        "manifest@synthetic",
        "gather",
        "split",
        "featurize",
        "explore",
        "embed",
        "train",
        "evaluate",
        "stress",
        "report",
    ]
    assert names == expected


def test_a_fresh_project_has_run_nothing(fresh: Path) -> None:
    assert set(stages.changes(fresh).values()) == {"it has not run yet"}


def test_nothing_is_stale_after_a_run(root: Path) -> None:
    assert stages.changes(root) == {}
    assert run(root, "first").did == "unchanged"


def test_a_changed_parameter_and_a_lost_file_are_named(root: Path) -> None:
    (root / "params.yaml").write_text("seed: 2\ndata:\n  corpora: [a, b]\n")
    (root / "a.txt").unlink()
    (root / "second.py").write_text(SCRIPTS["second.py"] + " # edited")

    assert stages.changes(root) == {
        "first": "params.yaml: seed changed",
        "second@a": "second.py changed and a.txt is missing",
        "second@b": "second.py changed",
    }


def test_a_stage_speaks_for_itself_and_dvcs_chatter_is_left_out(root: Path) -> None:
    (root / "params.yaml").write_text("seed: 3\ndata:\n  corpora: [a, b]\n")
    heard: list[str] = []

    outcome = run(root, "first", heard)

    assert heard == ["first speaks"]
    assert str(outcome).startswith("first: ran in ")
    assert "Running stage" in (root / ".ser" / "logs" / "first.log").read_text()


def test_what_dvc_made_before_is_restored_from_its_cache(root: Path) -> None:
    for seed, did in ((4, "ran"), (1, "restored")):
        (root / "params.yaml").write_text(f"seed: {seed}\ndata:\n  corpora: [a, b]\n")
        assert run(root, "first").did == did


def test_a_stages_own_error_is_the_message_and_is_not_tried_again(root: Path) -> None:
    code = "import sys; print('error: clip.wav is empty', file=sys.stderr); sys.exit(2)"
    (root / "first.py").write_text(code)
    heard: list[str] = []

    with pytest.raises(StageError, match=r"^first: clip\.wav is empty$") as caught:
        run(root, "first", heard)

    assert not isinstance(caught.value, StageCrashed)
    assert heard == []


@pytest.mark.parametrize(
    "fault", ["raise KeyError('boredom')", "import os; os.abort()", "import sys; sys.exit(3)"]
)
def test_a_fault_of_ours_is_not_tried_again_and_names_its_log(root: Path, fault: str) -> None:
    (root / "first.py").write_text(f"print('the last word', flush=True); {fault}")

    with pytest.raises(StageError, match=r"\.ser/logs/first\.log") as caught:
        run(root, "first")

    assert not isinstance(caught.value, StageCrashed)


@pytest.mark.parametrize("sign", ["SIGKILL", "SIGTERM", "SIGHUP"])
def test_a_stage_that_was_killed_is_tried_again(root: Path, sign: str) -> None:
    code = f"import os, signal; print('at work', flush=True); os.kill(os.getpid(), signal.{sign})"
    (root / "first.py").write_text(code)

    with pytest.raises(StageCrashed, match=r"at work.*\.ser/logs/first\.log"):
        run(root, "first")


def test_dvc_that_was_killed_is_tried_again(root: Path) -> None:
    code = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
    (root / "first.py").write_text(code)

    with pytest.raises(StageCrashed):
        run(root, "first")


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_lock_file_that_a_kill_cut_short_is_put_back(root: Path, share: float) -> None:
    lock = root / "dvc.lock"
    whole = lock.read_text()
    assert dvc.mend_lock(root) == ""
    lock.write_text(whole[: int(len(whole) * share)].rstrip("\n"))

    said: list[str] = []
    names = list(dvc.read_yaml(root / "dvc.yaml")["stages"])
    stages.reproduce(root, names[0], why="", on_line=said.append)

    assert "cut short" in said[0]
    assert lock.read_text() == whole
    assert stages.changes(root) == {}


def test_without_a_copy_a_lock_file_that_is_cut_short_is_made_anew(root: Path) -> None:
    lock = root / "dvc.lock"
    (root / dvc.WHOLE).unlink()
    lock.write_text("")
    assert "made anew" in dvc.mend_lock(root)
    assert not lock.exists()
    assert dvc.mend_lock(root) == ""


def test_a_lock_file_with_a_merge_conflict_is_left_to_the_person(root: Path) -> None:
    lock = root / "dvc.lock"
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}>>>>>>> other")
    assert dvc.mend_lock(root) == ""


def test_what_a_stage_says_may_pass_is_tried_again(root: Path) -> None:
    code = "import sys; print('error: no server answers', file=sys.stderr); sys.exit(75)"
    (root / "first.py").write_text(code)

    with pytest.raises(StageCrashed, match=r"^first: no server answers$"):
        run(root, "first")


def test_a_held_lock_is_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC itself fails at once, whatever it is told about waiting."""
    (root / "first.py").write_text(SCRIPTS["first.py"] + " # edited")
    busy = {"pid": os.getpid(), "cmd": "dvc repro"}
    lock = root / ".dvc" / "tmp" / "rwlock"
    lock.write_text(json.dumps({"write": {str(root / "first.txt"): busy}, "read": {}}))

    monkeypatch.setattr(stages, "BUSY_PAUSE", 0.1)
    monkeypatch.setattr(stages, "BUSY_TIMEOUT", 0.0)
    with pytest.raises(StageCrashed, match="busy"):
        run(root, "first")
    monkeypatch.setattr(stages, "BUSY_TIMEOUT", 60.0)
    heard: list[str] = []

    def hear(line: str) -> None:
        """The other command ends when it is known to be waited for."""
        if not heard:
            lock.unlink()
        heard.append(line)

    assert stages.reproduce(root, "first", why="a reason", on_line=hear).did == "ran"
    assert heard[0] == "waits for another DVC command that works here"
    assert sum("PID" in line or "waits" in line for line in heard) == 1


def test_a_missing_corpus_says_how_to_get_it(root: Path) -> None:
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text.replace("[first.py]", "[first.py, data/raw/ravdess]"))

    with pytest.raises(MissingCorpus, match="ser corpus add ravdess"):
        run(root, "first")


def test_a_broken_pipeline_file_is_one_line(root: Path) -> None:
    (root / "dvc.yaml").write_text("stages: [")

    for look in (lambda: stages.changes(root), lambda: stages.stage_names(root, Params())):
        with pytest.raises(SerError, match=r"dvc\.yaml") as caught:
            look()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml", "params.yaml", "data/raw/own.dvc"])
def test_a_merge_conflict_is_one_line_that_names_the_file(root: Path, name: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text() if path.exists() else "outs: []\n"
    path.write_text(f"{text}<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> theirs\n")

    with pytest.raises(SerError, match="merge conflict") as caught:
        stages.changes(root)

    assert f"{path}, line {text.count(chr(10)) + 1}," in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("", r"not a git repository.*dvc config core\.no_scm true"),
        ("[core\n", r"config.*line 1.*Mend \.dvc/config"),
        ("[core]\n    no_scm = maybe\n", r"config.*no_scm.*Mend \.dvc/config"),
    ],
)
def test_why_dvc_refuses_the_project_and_the_way_out_are_one_line(
    root: Path, settings: str, words: str
) -> None:
    (root / ".dvc" / "config").write_text(settings)

    with pytest.raises(StageError, match=words) as caught:
        stages.changes(root)

    assert "\n" not in str(caught.value)


def test_many_reasons_are_counted_not_listed() -> None:
    entries = [{"changed deps": {f"file{i}": "modified" for i in range(9)}}]

    expected = "file0 changed, file1 changed, file2 changed and 6 more"
    assert stages.explain(entries, {}, {}) == expected


def test_a_changed_section_is_reported_by_the_keys_that_changed() -> None:
    changed = {"changed deps": {"params.yaml": {"model": "modified", "seed": "modified"}}}
    locked = {"model": {"name": "svc", "svc": {"c": 1.0, "gamma": 2.0}}, "seed": 1}
    current = {"model": {"name": "lda", "svc": {"c": 1.0, "gamma": 3.0}}, "seed": 2}
    names = ["model.name", "model.svc.gamma", "seed"]
    first, second, third = (f"params.yaml: {name} changed" for name in names)

    assert stages.explain([changed], locked, current) == f"{first}, {second} and {third}"
    assert stages.explain(["changed command"], locked, current) == "its command changed"
