"""The pipeline under real DVC: what it makes again, what it keeps, what it shows."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from flows.stages import changes
from ser.io.tracking import lineage
from ser.params import load_params
from ser.stages.learning import chosen_params
from support.project import Project


def test_repro_makes_every_artefact_once(trained):
    assert trained.json("reports/metrics.json")["test"]["utterances"] == 36
    assert trained.repro() == []


def test_one_model_parameter_reruns_train_and_what_scores_it_alone(project):
    project.set(model__logistic_regression__c=0.001)
    assert project.repro() == ["train", "evaluate", "stress", "report"]


def test_what_only_says_how_a_machine_works_makes_nothing_again(project):
    project.set(machine__threads=1, machine__download=True)
    assert project.repro() == []
    assert "machine" not in chosen_params(load_params(project.root / "params.yaml"))
    assert "machine" not in project.json("models/bundle/bundle.json")["card"]["parameters"]


def test_a_clone_has_nothing_to_do_whatever_was_tried_before(project, tmp_path):
    """The manifest of a corpus that was tried and given up must leave no trace in dvc.lock."""
    manifests = project.root / "data/interim/manifests"
    before = (project.root / "dvc.lock").read_text()
    shutil.copy(manifests / "synthetic.parquet", manifests / "tried.parquet")
    assert project.repro() == ["gather"]
    assert (project.root / "dvc.lock").read_text() == before

    def git(folder, *arguments):
        command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run([*command, *arguments], check=True, capture_output=True)

    git(project.root, "add", *lineage.uncommitted(project.root))
    git(project.root, "commit", "-qm", "a model")
    git(tmp_path, "clone", "-q", str(project.root), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    # Of a project and its clone, each has a cache of its own: the remote is all that they share.
    remote = ["remote", "add", "--local", "--default", "store", str(tmp_path / "store")]
    for one, verb in ((project, "push"), (clone, "pull")):
        assert one.run("dvc", *remote).returncode == 0
        done = one.run("dvc", verb)
        assert done.returncode == 0, done.stderr
    assert clone.repro() == []
    assert lineage.uncommitted(clone.root) == ()


def test_another_fold_computes_no_feature_again_and_the_gate_s_parameter_nothing(project):
    project.set(gate__min_probability=0.4)
    assert project.repro() == []
    project.set(split__fold=2)
    assert project.repro("split") == ["split"]
    assert set(changes(project.root)) == {"explore", "train", "evaluate", "stress", "report"}


def flip(path: Path) -> None:
    """One bit, its size, mode and times kept: nothing that DVC looks at."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def cached(project: Project, stage: str, folder: str, name: str) -> Path:
    """DVC's own copy of a file in a stage's folder."""
    locked = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"][stage]
    (md5,) = (out["md5"] for out in locked["outs"] if out["path"] == folder)
    cache = project.root / ".dvc/cache/files/md5"
    listing = json.loads((cache / md5[:2] / md5[2:]).read_text())
    (entry,) = [e["md5"] for e in listing if e["relpath"].endswith(name)]
    return cache / entry[:2] / entry[2:]


def test_a_flipped_bit_anywhere_stops_training_and_is_named(project):
    recording = next((project.root / "data/raw/synthetic").rglob("*.wav"))
    shard = next((project.root / "data/features").glob("*.arrow"))
    victims = {
        recording: recording.name,
        shard: shard.name,
        cached(project, "synthesize", "data/raw/synthetic", recording.name): recording.name,
        cached(project, "featurize", "data/features", shard.name): shard.name,
    }
    before = (project.root / "models/bundle/bundle.json").read_bytes()
    # DVC reads the files of a project that was copied once.
    assert changes(project.root) == {}
    for victim in victims:
        flip(victim)
    assert changes(project.root) == {}
    for victim in victims:
        flip(victim)
    project.set(model__logistic_regression__c=0.001)
    for victim, name in victims.items():
        flip(victim)
        done = project.call("ser.stages.train")
        assert done.returncode == 2, victim
        assert name in done.stderr
        assert done.stderr.count("\n") == 1
        flip(victim)
    assert (project.root / "models/bundle/bundle.json").read_bytes() == before
    assert project.call("ser.stages.train").returncode == 0


def test_featurize_refuses_a_recording_that_changed_and_keeps_its_folder(project):
    victim = next((project.root / "data/raw/synthetic").rglob("*.wav"))
    flip(victim)
    done = project.run("dvc", "repro", "--force", "-s", "featurize")
    assert done.returncode != 0
    assert f"{victim.name} does not hold the bytes that the manifest recorded" in done.stderr
    assert "Traceback" not in done.stderr
    assert (project.root / "data/features/shards.json").exists()


def test_an_edit_of_the_file_that_excludes_makes_the_manifest_stale(project):
    first, second = sorted((project.root / "data/raw/synthetic").rglob("*.wav"))[:2]
    names = [path.relative_to(project.root / "data/raw").as_posix() for path in (first, second)]
    (project.root / "leave.txt").write_text(f"{names[0]}\n")
    project.set(data__exclude="leave.txt")
    done = project.call("ser.stages.manifest", "synthetic")
    assert done.returncode == 2
    assert "Add the line `- leave.txt` to the deps of the stage manifest" in done.stderr
    pipeline = project.root / "dvc.yaml"
    dep = "        - data/raw/${item}\n"
    pipeline.write_text(pipeline.read_text().replace(dep, f"{dep}        - leave.txt\n"))
    assert project.repro("-s", "manifest@synthetic") == ["manifest@synthetic"]
    (project.root / "leave.txt").write_text("".join(f"{name}\n" for name in names))
    assert changes(project.root)["manifest@synthetic"] == "leave.txt changed"
    assert project.call("ser.stages.manifest", "synthetic").returncode == 0
    assert len(pd.read_parquet(project.root / "data/interim/manifests/synthetic.parquet")) == 106


def test_parameters_and_metrics_read_as_dvc_shows_them(project):
    project.set(model__name="svc")
    diff = project.run("dvc", "params", "diff", "--json").stdout
    assert '"new": "svc"' in diff
    files = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert set(files) == {"reports/headline.json", "reports/robustness.json"}
    shown = files["reports/headline.json"]
    scores = project.json("reports/metrics.json")
    assert shown["data"]["test"]["uar"] == scores["test"]["uar"]
    # A column each in `dvc exp show`.
    assert sum(len(values) for values in shown["data"].values()) <= 10
    done = project.run("dvc", "plots", "show")
    assert done.returncode == 0, done.stderr
    page = (project.root / "dvc_plots" / "index.html").read_text()
    assert "Confusion" in page
    assert "Recall by emotion" in page
    # A model without epochs is a point.
    assert "Learning curves" in page
    (point,) = pd.read_csv(project.root / "reports/plots/curves.csv").to_dict("records")
    assert point["dev_uar"] == pytest.approx(scores["dev"]["uar"], rel=1e-5)
