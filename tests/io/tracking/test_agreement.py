"""Journal and registry after kills, and after what people do in MLflow's own UI."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest

from ser.errors import RegistryError
from ser.io.tracking import store
from ser.io.tracking.registry import bundles, journal, mending, promotion, versions
from ser.io.tracking.registry.agreement import compare, succession
from ser.io.tracking.registry.versions import MODEL, Version
from support.registry import events, keep, promote, serving, tamper


def row(event: str, version: int, previous: int | None, **more: Any) -> journal.Row:
    at = f"2026-11-0{version}"
    return {"at": at, "event": event, "version": version, "previous": previous, **more}


def version(number: int, *aliases: str, **tags: str) -> Version:
    return Version(
        version=number,
        run_id="",
        bundle_sha256="s",
        split_sha256=None,
        aliases=aliases,
        verdict=tags.get("verdict"),
        verdict_reason=None,
        tags=tags,
    )


def kinds(rows: list[journal.Row], registered: list[Version]) -> list[tuple[str, int]]:
    return [(f.kind, f.version) for f in compare(rows, registered)]


def test_the_line_of_champions_goes_back_and_forth_with_the_rows() -> None:
    rows = [row("promoted", 1, None), row("promoted", 2, 1), row("kept", 4, 2)]
    rows += [row("promoted", 3, 2)]
    assert succession(rows) == [1, 2, 3]
    rows += [row("rolled_back", 1, 3)]
    assert succession(rows) == [1]
    rows += [row("moved_by_hand", 3, 1)]
    assert succession(rows) == [1, 3]
    # Nobody recorded how 2 came to serve.
    assert succession([*rows, row("promoted", 5, 2)]) == [1, 3, 2, 5]


def test_an_older_row_is_withdrawn_only_where_its_version_never_served() -> None:
    rows = [row("promoted", 1, None, store="s"), row("promoted", 2, 1, store="s")]
    first, second = {"verdict": "promoted", "verdict_reason": ""}, {}

    def found() -> list[tuple[str, int]]:
        there = [version(2, "challenger", **second), version(1, "champion", **first)]
        return kinds(rows, there)

    assert found() == [("withdrawn", 2)]
    # The verdict's tag comes after the alias: it was there, and was moved away.
    second.update(first)
    assert found() == [("moved_by_hand", 1)]


def test_a_row_without_a_store_says_nothing_of_tags_and_deleted_versions() -> None:
    rows = [row("promoted", 9, None), row("promoted", 1, 9)]
    assert kinds(rows, [version(1, "champion", "challenger")]) == []


class Killed(BaseException):
    pass


def kill_at(call: str, root: Path, version: int) -> None:
    """Promote, and die where the client's `call` would be made."""

    def die(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, call, die)
        with pytest.raises(Killed):
            promote(root, version)


def test_a_kill_between_journal_and_alias_leaves_the_old_champion(root: Path) -> None:
    promote(root, 1)
    kill_at("set_registered_model_alias", root, 2)
    assert serving(root) == 1
    assert versions.get_version(root, 2).verdict is None
    assert "never came true" in mending.disagreement(root)
    assert len(journal.rows(root)) == 2

    (said,) = mending.agree(root)

    assert "version 2" in said
    assert (mending.agree(root), mending.disagreement(root)) == ([], None)
    promote(root, 2)
    assert promotion.roll_back(root, reason="bad").version == 1
    assert [event for event, *_ in events(root)] == [
        "promoted",
        "promoted",
        "withdrawn",
        "promoted",
        "rolled_back",
    ]


def test_a_kill_between_alias_and_tags_is_made_good(root: Path) -> None:
    promote(root, 1)
    kill_at("set_model_version_tag", root, 2)
    assert (serving(root), versions.get_version(root, 2).verdict) == (2, None)

    mending.agree(root)

    assert versions.get_version(root, 2).verdict == "promoted"
    assert len(events(root)) == 2
    assert promotion.roll_back(root, reason="bad").version == 1


def test_an_alias_that_was_moved_by_hand_is_told_recorded_and_can_be_undone(root: Path) -> None:
    promote(root, 1)
    promote(root, 2)
    keep(root, 3)
    store.connect(root).set_registered_model_alias(MODEL, "champion", "3")

    (said,) = mending.agree(root)

    for words in ("3 is the champion", "says version 2", "The gate refused it (worse)"):
        assert words in said
    assert "`ser promote 3 --reason WHY`" in said
    assert "`ser roll-back 2`" in said
    assert events(root)[-1] == ("moved_by_hand", 3, 2)
    assert mending.agree(root) == []
    assert promotion.roll_back(root, reason="undo").version == 2
    assert promotion.roll_back(root, reason="and further").version == 1


def test_an_alias_that_was_moved_back_by_hand_is_no_kill(root: Path) -> None:
    promote(root, 1)
    promote(root, 2)
    store.connect(root).set_registered_model_alias(MODEL, "champion", "1")

    mending.agree(root)

    assert events(root)[-1] == ("moved_by_hand", 1, 2)
    # What was moved by hand can be made a promotion of one's own.
    assert promote(root, 1, "meant").verdict_reason == "meant"
    assert promote(root, 1, "again") is None
    assert events(root)[-1] == ("promoted", 1, 1)


def test_a_champion_by_hand_that_cannot_be_loaded_is_told_with_it(own_artifacts: Path) -> None:
    root = own_artifacts
    promote(root, 1)
    tamper(root, 3)
    store.connect(root).set_registered_model_alias(MODEL, "champion", "3")

    assert "3 cannot be loaded" in mending.disagreement(root)
    (said,) = mending.agree(root)
    assert "3 cannot be loaded" in said
    assert "not judged it" in said


def test_an_alias_that_was_removed_by_hand_is_given_back(root: Path) -> None:
    promote(root, 1)
    promote(root, 2)
    client = store.connect(root)
    client.delete_registered_model_alias(MODEL, "champion")

    assert mending.agree(root) == [
        "No version has the alias champion; the last was version 2. Version 2 has it again."
    ]

    assert promotion.roll_back(root, reason="bad").version == 1
    # What was rolled back from does not come back by itself.
    client.delete_registered_model_alias(MODEL, "champion")
    mending.agree(root)
    assert events(root)[-1] == ("reinstated", 1, None)
    assert serving(root) == 1


@pytest.mark.parametrize("with_journal", [True, False])
def test_the_place_of_a_deleted_champion_goes_to_the_one_before(
    root: Path, with_journal: bool
) -> None:
    promote(root, 1)
    promote(root, 3)
    store.connect(root).delete_model_version(MODEL, "3")
    assert versions.champion(root) is None
    if not with_journal:
        journal.journal_path(root).unlink()

    said = mending.agree(root)

    assert serving(root) == 1
    assert any("Version 3, which the journal names, was deleted" in s for s in said) == with_journal
    # The alias challenger was on it.
    assert versions.get_version(root, 2).aliases == ("challenger",)
    assert mending.agree(root) == []


def test_nobody_is_reinstated_where_nobody_was_champion_or_none_can_be_loaded(
    own_artifacts: Path,
) -> None:
    root = own_artifacts
    assert mending.agree(root) == []
    promote(root, 1)
    shutil.rmtree(bundles.fetch_bundle(root))
    store.connect(root).delete_registered_model_alias(MODEL, "champion")

    (said,) = mending.agree(root)

    assert "can be loaded: `make run`" in said
    assert serving(root) is None


def test_where_the_journal_is_lost_a_row_is_written_from_what_is_there(root: Path) -> None:
    promote(root, 1)
    promote(root, 2)
    journal.journal_path(root).unlink()

    (said,) = mending.agree(root)

    assert "no row of how it came" in said
    assert events(root) == [("adopted", 2, None)]
    assert mending.agree(root) == []


def test_tags_and_aliases_that_were_changed_by_hand_are_as_in_the_journal_again(
    root: Path,
) -> None:
    promote(root, 1)
    keep(root, 2, probability=0.25)
    client = store.connect(root)
    client.set_model_version_tag(MODEL, "2", "verdict", "promoted")
    client.delete_model_version_tag(MODEL, "2", "probability")
    client.set_registered_model_alias(MODEL, "challenger", "1")

    said = mending.agree(root)

    assert said == [
        "Version 2: not as in the journal are the tags probability, verdict. They are set again.",
        "The alias challenger is not on version 3, the newest. It is now.",
    ]
    kept = versions.get_version(root, 2)
    assert (kept.verdict, kept.tags["probability"]) == ("kept", "0.25")
    assert mending.agree(root) == []


def test_a_model_that_was_renamed_is_named_and_one_that_was_deleted_begins_anew(
    root: Path,
) -> None:
    promote(root, 1)
    client = store.connect(root)
    client.create_registered_model("of somebody else")
    client.rename_registered_model(MODEL, "emotions")
    for look in (mending.agree, mending.disagreement):
        with pytest.raises(RegistryError, match=r"was renamed to 'emotions'.*Rename it back"):
            look(root)
    client.rename_registered_model("emotions", MODEL)
    assert mending.agree(root) == []

    client.delete_registered_model(MODEL)

    (said,) = mending.agree(root)
    assert "has no model emotion-recognition" in said
