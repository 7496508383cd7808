"""What docs/howto/new-model.md says is done to a checkout, and works."""

import re
from pathlib import Path

import pytest

HOWTO = Path(__file__).parents[1] / "docs" / "howto" / "new-model.md"


@pytest.fixture
def project(trained, tmp_path):
    """A trained project in which the page's class and its line stand."""
    project = trained.copied_to(tmp_path)
    path = re.search(r"here `(\S+)`", HOWTO.read_text())[1]
    code, line, *_ = re.findall(r"```python\n(.*?)```", HOWTO.read_text(), re.DOTALL)
    (project.root / path).write_text(code)
    table = project.root / "src/ser/params/models.py"
    before = table.read_text()
    assert before.count("MODELS = {\n") == 1
    table.write_text(before.replace("MODELS = {\n", f"MODELS = {{\n{line}"))
    return project


def test_one_class_and_one_line_add_a_model(project):
    project.set(model__name="nearest_mean")
    for stage in ("train", "evaluate"):
        done = project.run(f"ser.stages.{stage}")
        assert done.returncode == 0, done.stderr
    scores = project.json("reports/metrics.json")
    assert scores["model"] == "nearest_mean"
    assert scores["test"]["uar"] > 1.5 * scores["test"]["chance"]
    clip = next((project.root / "data/raw/synthetic").rglob("*.wav"))
    answered = project.run("ser.cli", "predict", str(clip), "--model", "models/bundle", "--json")
    assert answered.returncode == 0, answered.stderr
    assert '"posteriors"' in answered.stdout


def test_an_ensemble_takes_the_new_model_as_a_member(project):
    project.set(model__name="ensemble", model__ensemble={"members": ["nearest_mean", "lda"]})
    done = project.run("ser.stages.train")
    assert done.returncode == 0, done.stderr
    assert "2.lda." in " ".join(str(p) for p in (project.root / "models/bundle").rglob("*"))
