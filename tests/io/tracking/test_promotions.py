"""Verdicts that are acted upon while others are."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks import promotions
from ser.core.gate.verdict import Verdict
from ser.io.tracking import store
from ser.io.tracking.registry import promotion, versions
from ser.io.tracking.registry.versions import MODEL, Version
from support.registry import events, promote, serving


def test_promotions_at_once_leave_the_best_as_champion_and_a_row_each(tmp_path: Path) -> None:
    rng = random.Random(7)
    scores = promotions.plant(tmp_path / "planted", 8, rng)
    for name, acts, kills in (
        ("gate", ["gate"] * 8, 0),
        ("mixed", ["gate"] * 4 + ["promote", "roll-back"] * 2, 3),
    ):
        root = promotions.copy_of(tmp_path / "planted", tmp_path / name)

        found = promotions.play(root, scores, acts, kills=kills, rng=rng)

        assert found.faults == []
        assert found.champions == 1


def test_who_was_judged_against_a_champion_that_changed_is_judged_again(root: Path) -> None:
    promote(root, 1)
    against = []

    def judge(champion: Version | None) -> Verdict:
        against.append(champion.version)
        if len(against) == 1:
            # As a person may do in MLflow's UI, which takes no lock.
            store.connect(root).set_registered_model_alias(MODEL, "champion", "2")
        return Verdict(champion.version == 1, "better than 1, worse than 2", ci95=(-0.1, 0.2))

    version, verdict = promotion.attempt(root, versions.get_version(root, 3), judge)

    assert against == [1, 2]
    assert (verdict.promote, version.verdict, serving(root)) == (False, "kept", 2)
    assert version.tags["ci95_low"] == "-0.1"
    assert events(root) == [("promoted", 1, None), ("moved_by_hand", 2, 1), ("kept", 3, 2)]


def test_a_verdict_stands_until_what_it_rests_on_changes(root: Path) -> None:
    def refuse(gate: str) -> Version:
        verdict = Verdict(False, "worse", gate=gate)
        return promotion.attempt(root, versions.get_version(root, 3), lambda _: verdict)[0]

    assert not promotion.stands(root, versions.get_version(root, 3), "limits")
    promote(root, 1)
    refused = refuse("limits")
    assert promotion.stands(root, refused, "limits")
    assert not promotion.stands(root, refused, "other limits")

    store.connect(root).delete_model_version(MODEL, "1")
    assert not promotion.stands(root, refused, "limits"), "the champion is gone"
    refused = refuse("limits")
    assert promotion.stands(root, refused, "limits"), "a rule refused it, and still does"
    assert events(root)[-1] == ("kept", 3, None)
