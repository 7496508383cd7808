import pandas as pd
import pytest

from ser.errors import TableError
from ser.files import atomic_path, read_json, write_json
from ser.io.storage.tables import read_table, write_table


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path):
    target = tmp_path / "metrics.json"
    write_json({"uar": 0.5}, target)
    with pytest.raises(ValueError):
        write_json({"uar": float("nan")}, target)
    assert read_json(target) == {"uar": 0.5}
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_folder_leaves_the_old_folder_and_no_debris(tmp_path):
    target = tmp_path / "features"
    with atomic_path(target) as folder:
        folder.mkdir()
        (folder / "old").touch()
    with pytest.raises(RuntimeError), atomic_path(target) as folder:  # noqa: PT012
        folder.mkdir()
        (folder / "new").touch()
        raise RuntimeError
    assert [p.name for p in tmp_path.rglob("*")] == ["features", "old"]


def test_a_new_folder_replaces_the_old_whole(tmp_path):
    for name in ("old", "new"):
        with atomic_path(tmp_path / "features") as folder:
            folder.mkdir()
            (folder / name).touch()
    assert [p.name for p in (tmp_path / "features").iterdir()] == ["new"]


def test_missing_and_damaged_files_say_what_to_do(tmp_path):
    write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["a"].tolist() == [1]
    (tmp_path / "t.parquet").write_bytes(b"PAR1 but no more")
    (tmp_path / "t.json").write_text("{")
    for read, name in [
        (read_table, "t.parquet"),
        (read_json, "t.json"),
        (read_table, "none.parquet"),
        (read_json, "none.json"),
    ]:
        with pytest.raises(TableError, match=rf"{name}.*dvc repro"):
            read(tmp_path / name)
