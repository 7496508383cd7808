"""Rows of the journal, and whose they are."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ser.errors import RegistryError
from ser.io.tracking import store
from ser.io.tracking.registry import journal, mending, promotion, versions
from support.full_disk import fill, small_disk
from support.registry import keep, promote


def test_a_row_names_who_when_and_the_flow_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "anna")
    monkeypatch.setenv(journal.FLOW_RUN, "teal-otter")
    promote(root, 1)
    monkeypatch.delenv(journal.FLOW_RUN)
    promote(root, 2)

    first, second = journal.rows(root)

    assert first["who"].startswith("anna@")
    assert (first["pid"], first["flow_run"], second["flow_run"]) == (
        os.getpid(),
        "teal-otter",
        None,
    )


def test_a_row_that_a_full_disk_cuts_short_is_taken_away(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        values = {"event": "kept", "version": 1, "previous": None, "store": "s"}
        journal.append(disk, journal.new_row(reason="x" * 3800, **values))
        filler = fill(disk)
        before = journal.journal_path(disk).read_bytes()
        with pytest.raises(RegistryError, match=r"No space left on device.*Make room"):
            journal.append(disk, journal.new_row(reason="y" * 5000, **values))
        assert journal.journal_path(disk).read_bytes() == before
        filler.unlink()
        journal.append(disk, journal.new_row(reason="z", **values))
        assert [row["reason"][0] for row in journal.rows(disk)] == ["x", "z"]


def test_rows_of_an_older_journal_are_read_and_gone_back_by(root: Path) -> None:
    promote(root, 1)
    promote(root, 2)
    older = [
        {k: v for k, v in row.items() if k not in ("who", "pid", "flow_run")}
        for row in journal.rows(root)
    ]
    journal.journal_path(root).write_text("".join(f"{json.dumps(row)}\n" for row in older))

    assert journal.rows(root) == older
    assert mending.agree(root) == []
    assert promotion.roll_back(root, reason="bad").version == 1


def test_a_torn_last_row_is_skipped_and_does_not_swallow_the_next(root: Path) -> None:
    promote(root, 1)
    with journal.journal_path(root).open("a") as file:
        file.write('{"at": "2026-')

    promote(root, 2)

    assert [row["version"] for row in journal.rows(root)] == [1, 2]


def test_rolling_back_follows_the_rows_of_its_own_store_alone(root: Path) -> None:
    promote(root, 1)
    promote(root, 3)
    rows = journal.rows(root)
    assert len({row["store"] for row in rows}) == 1
    # Another store's: there version 3 took the place of version 2, which was kept out here.
    keep(root, 2)
    row = journal.new_row(event="promoted", version=3, previous=2, store="other", reason="")
    journal.append(root, row)

    assert promotion.roll_back(root, reason="bad").version == 1


def test_a_model_that_is_registered_anew_has_another_history(
    root: Path, prepared: Path, sha: list[str]
) -> None:
    promote(root, 1)
    promote(root, 2)
    before = journal.rows(root)[-1]["store"]
    client = store.connect(root)
    client.delete_registered_model(versions.MODEL)
    client.create_registered_model(versions.MODEL)
    source = store.connect(prepared).get_model_version(versions.MODEL, "2").source
    with store.as_default_store(root):
        for one in sha:
            client.create_model_version(versions.MODEL, source, tags={"bundle_sha256": one})
    client.set_registered_model_alias(versions.MODEL, "champion", "2")

    with pytest.raises(RegistryError, match="no predecessor"):
        promotion.roll_back(root, reason="bad")

    keep(root, 1)
    assert journal.rows(root)[-1]["store"] != before


@pytest.mark.parametrize(
    "line",
    ['{"at": "now", "event": "promoted"}', "[1, 2]", "null", "garbage", "\udcff", '{"version": 1}'],
)
def test_a_bad_row_of_the_journal_is_named_by_its_number(root: Path, line: str) -> None:
    promote(root, 1)
    with journal.journal_path(root).open("a", errors="surrogateescape") as file:
        file.write(f"{line}\n")

    for act in (lambda: promotion.roll_back(root, reason="bad"), lambda: promote(root, 2)):
        with pytest.raises(RegistryError, match=r"promotions\.jsonl, line 2") as caught:
            act()
        assert "\n" not in str(caught.value)
    assert versions.champion(root).version == 1


@pytest.mark.parametrize("act", ["promote", "keep", "roll_back"])
def test_where_the_store_cannot_be_written_journal_and_registry_still_agree(
    root: Path, act: str
) -> None:
    promote(root, 1)
    promote(root, 2)
    before = journal.rows(root)
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database, database:
        for table in ("registered_model_aliases", "model_version_tags"):
            for change in ("INSERT", "UPDATE"):
                database.execute(
                    f"CREATE TRIGGER {table}_{change} BEFORE {change} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'attempt to write a readonly database'); END"
                )

    acts = {
        "promote": lambda: promote(root, 3),
        "keep": lambda: keep(root, 3),
        "roll_back": lambda: promotion.roll_back(root, reason="bad"),
    }
    with pytest.raises(RegistryError, match="write access") as caught:
        acts[act]()

    assert "\n" not in str(caught.value)
    assert journal.rows(root) == before
    assert versions.champion(root).version == 2
