"""What a stage's artefacts are made of, by its own word, is what DVC looks at."""

from pathlib import Path

import pytest
import yaml

from ser.io.storage import embeddings
from ser.stages import featurize

STAGES = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize(
    ("stage", "code"),
    [("featurize", featurize.AUGMENTED_BY), ("embed", embeddings.CODE)],
)
def test_dvc_runs_a_stage_again_whenever_its_recipe_is_another(stage, code):
    deps = tuple(STAGES[stage]["deps"])
    assert [name for name in code if not f"src/ser/{name}".startswith(deps)] == []


def test_another_rule_of_what_is_left_out_makes_the_manifests_anew():
    stage = STAGES["manifest"]["do"]
    assert {"data.exclude", "data.on_bad", "data.max_bad_share"} <= set(stage["params"])
    # How long a recording must be, and above which frequency it must hold sound, by the features.
    assert {"features.n_fft", "features.sr", "features.high_pass_hz"} <= set(stage["params"])
