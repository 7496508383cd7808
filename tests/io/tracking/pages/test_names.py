"""Names of runs, and what they say differs."""

from __future__ import annotations

import pytest

from ser.io.tracking.pages.names import (
    LONGEST,
    PALETTE,
    Logged,
    changes,
    colour,
    comparable_uar,
    differences,
    run_name,
)

PARAMS = {
    "data.corpora": '["ravdess"]',
    "split.protocol": "ravdess-luna5",
    "split.fold": "1",
    "model.name": "svc",
    "model.enrolled": "False",
    "model.svc.c": "10.0",
    "features.n_mfcc": "20",
    "seed": "7",
}
BEFORE = Logged(PARAMS, {"data.ravdess": "a", "mlflow.source.git.commit": "1"})


def after(tags: dict[str, str] | None = None, **changed: str) -> Logged:
    values = {key.replace("__", "."): value for key, value in changed.items()}
    return Logged({**PARAMS, **values}, {**BEFORE.tags, **(tags or {})})


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (after(), ["again"]),
        (after(model__svc__c="30.0"), ["c=30"]),
        (after(seed="8", model__svc__c="30.0"), ["c=30", "seed=8"]),
        (
            after(seed="8", model__svc__c="30.0", features__n_mfcc="16"),
            ["c=30", "n_mfcc=16", "+ 1 more"],
        ),
        # The name has places of their own for these.
        (after(split__fold="2"), []),
        (after(model__name="lda"), []),
        (after({"data.ravdess": "b"}), ["other data"]),
        (after({"mlflow.source.git.commit": "2"}), ["other code"]),
        (after({"git.dirty": "true"}), ["other code"]),
        # A parameter decides, whatever the code is.
        (after({"mlflow.source.git.commit": "2"}, seed="8"), ["seed=8"]),
    ],
)
def test_a_name_says_what_differs_from_the_run_before(now: Logged, expected: list[str]) -> None:
    assert differences(BEFORE, now) == expected


def test_what_only_one_of_two_runs_reads_is_no_difference_of_its_own() -> None:
    lda = Logged({"model.name": "lda", "model.lda.shrinkage": "0.7"})
    svc = Logged({"model.name": "svc", "model.svc.c": "10.0"})
    assert changes(lda, svc) == {"model.name": ("lda", "svc")}


def test_a_name_begins_with_what_a_narrow_list_still_shows() -> None:
    now = after(model__svc__c="30.0", split__fold="2")
    name = run_name(now, differences(BEFORE, now), "tall-oak")
    assert name == "svc c=30 · ravdess · luna5 2 · tall-oak"
    enrolled = after(model__enrolled="True")
    assert run_name(enrolled, differences(BEFORE, enrolled)) == "svc enrolled · ravdess · luna5 1"


def test_a_long_value_is_cut_and_no_quote_reaches_mlflow_s_search() -> None:
    now = after(data__exclude="it's/a/very/long/path.txt")
    before = Logged({**PARAMS, "data.exclude": "none"}, BEFORE.tags)
    (said,) = differences(before, now)
    assert len(said) <= len("exclude=") + LONGEST
    assert "'" not in run_name(now, [said])


def test_scores_of_another_split_do_not_compare() -> None:
    other = Logged({}, {"split_sha256": "s"}, {"test/uar": 0.7})
    assert comparable_uar(other, Logged({}, {"split_sha256": "s"})) == 0.7
    assert comparable_uar(other, Logged({}, {"split_sha256": "t"})) is None


def test_ten_runs_in_a_row_have_ten_colours() -> None:
    newest_first: list[str] = []
    for _ in range(len(PALETTE) + 1):
        newest_first.insert(0, colour(newest_first[: len(PALETTE)]))
    assert set(newest_first[1:]) == set(PALETTE)
    assert newest_first[0] == newest_first[-1]
