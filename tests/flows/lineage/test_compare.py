"""Where a reproduction and its record part, and by how much."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows.lineage.compare import Difference, _of_arrays, _of_tables, compare_stages, in_order
from flows.lineage.findings import Reproduction
from flows.lineage.machine import differences, machine

LOCK: dict[str, Any] = {
    # As DVC appends them, which is not the order in which they run.
    "train": {
        "deps": [{"path": "data/features", "md5": "f"}, {"path": "src/models", "md5": "m"}],
        "outs": [{"path": "models/bundle", "md5": "b"}, {"path": "reports/train.json", "md5": "1"}],
    },
    "featurize": {
        "deps": [{"path": "data/raw", "md5": "r"}, {"path": "src/features", "md5": "s"}],
        "outs": [{"path": "data/features", "md5": "f"}],
    },
}


def changed(stage: str, kind: str, path: str) -> dict[str, Any]:
    """LOCK where this hash is another one."""
    return {
        name: {
            each: [
                entry | {"md5": "other"}
                if (name, each, entry["path"]) == (stage, kind, path)
                else entry
                for entry in entries
            ]
            for each, entries in facts.items()
        }
        for name, facts in LOCK.items()
    }


def test_stages_come_after_those_that_make_what_they_read() -> None:
    assert in_order(LOCK) == ["featurize", "train"]


def test_the_stage_whose_source_changed_is_named_with_it() -> None:
    made = changed("featurize", "outs", "data/features")
    made["featurize"]["deps"][1] = {"path": "src/features", "md5": "other"}
    made["train"]["deps"][0] = {"path": "data/features", "md5": "other"}

    featurize, train = compare_stages(LOCK, made)

    assert featurize.differing == ("data/features",)
    assert featurize.causes == ("src/features",)
    assert train.differing == train.causes == ()


def test_another_mlflow_run_is_no_difference() -> None:
    stages = compare_stages(LOCK, changed("train", "outs", "reports/train.json"))

    assert [stage.differing for stage in stages] == [(), ()]


def test_a_median_near_zero_is_measured_by_its_descriptor() -> None:
    before = pd.DataFrame({"mfcc_delta2_01_p50": [1e-6], "mfcc_delta2_01_p95": [1.0]})
    now = before + np.array([[2e-6, 0.0]])

    found = _of_tables(before, now)

    assert found.share == pytest.approx(2e-6)
    assert found.is_rounding
    assert not found.is_exact


def test_one_step_of_float16_is_how_it_is_stored_and_two_are_a_difference() -> None:
    before = np.array([[-40.0], [-80.0]], np.float16)
    step = float(np.spacing(np.float16(40.0)))

    def moved_by(difference: float) -> Difference:
        now = before + np.array([[difference], [0.0]], np.float16)
        return _of_arrays({"a": before}, {"a": now}, name="band", decibels=True)

    assert moved_by(0.0).is_exact
    assert moved_by(step).is_rounding
    assert not moved_by(step).is_exact
    assert not moved_by(2 * step).is_rounding


def test_what_rounding_leaves_of_a_silent_band_is_no_difference() -> None:
    """Two steps of float16 at 80 dB below the loudest are less than 1e-9 of its power."""
    before = np.array([[0.0], [-80.0]], np.float16)
    quiet = before - np.array([[0.0], [0.125]], np.float16)
    loud = before - np.array([[0.001], [0.0]], np.float16)

    assert _of_arrays({"a": before}, {"a": quiet}, name="band", decibels=True).is_rounding
    assert not _of_arrays({"a": before}, {"a": loud}, name="band", decibels=True).is_rounding


def test_an_utterance_on_one_side_only_is_never_rounding() -> None:
    before = pd.DataFrame({"f0_mean": [1.0, 2.0]}, index=["a", "b"])

    found = _of_tables(before, before.iloc[:1])
    shorter = _of_arrays({"a": np.zeros((9, 2))}, {"a": np.zeros((8, 2))}, name="band")

    assert found.missing == shorter.missing == 1
    assert not found.is_rounding
    assert not shorter.is_rounding


def reproduction(made: dict[str, Any], **facts: Any) -> Reproduction:
    stages = tuple(compare_stages(LOCK, made))
    empty: dict[str, Any] = {"machine": (), "features": {}, "answers": "", "spread": ()}
    return Reproduction(stages, uar=0.68, recorded_uar=0.72, **{**empty, **facts})


def test_another_machine_is_never_called_identical() -> None:
    made = changed("train", "outs", "models/bundle")
    blas = ("blas: Haswell → Zen",)

    within = reproduction(made, machine=blas, spread=(0.68, 0.70, 0.71, 0.72, 0.69))
    outside = reproduction(made, machine=blas, spread=(0.68, 0.681, 0.682, 0.68))

    assert within.is_within_limits
    assert within.verdict.startswith(
        "Another machine, not identical. The difference starts in train"
    )
    assert "within the spread over seeds (5 seeds gave 0.680 to 0.720" in within.verdict
    assert not outside.is_within_limits
    assert "more than another machine explains" in outside.verdict


def test_another_machine_excuses_no_other_source_and_no_other_split() -> None:
    facts = {"machine": ("blas: Haswell → Zen",), "spread": (0.68, 0.70, 0.71, 0.72, 0.69)}
    made = changed("train", "outs", "models/bundle")
    made["train"]["deps"][1] = {"path": "src/models", "md5": "other"}
    split = {"split": {"deps": [], "outs": [{"path": "data/folds", "md5": "1"}]}}
    folds = compare_stages(split, {"split": {"outs": [{"path": "data/folds", "md5": "2"}]}})

    assert not reproduction(made, **facts).is_within_limits
    found = replace(reproduction(LOCK, **facts), stages=tuple(folds))
    assert found.verdict.startswith(
        "Another machine, not identical. The difference starts in split"
    )
    assert not found.is_within_limits


def test_on_the_same_machine_a_difference_is_one() -> None:
    found = reproduction(changed("train", "outs", "models/bundle"), spread=(0.6, 0.8))

    assert not found.is_within_limits
    assert found.verdict.startswith("Not identical. The difference starts in train")
    assert reproduction(LOCK).verdict.startswith("Identical")


def test_a_machine_is_known_by_its_kernels_and_their_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from threadpoolctl import threadpool_limits

    before = machine()
    assert "openblas" in before["blas"]
    assert differences(before, machine()) == []
    with threadpool_limits(3):
        (line,) = differences(before, machine())
    assert line.startswith("blas: ")
    assert "threads 3" in line
