"""Paths of params.yaml do not depend on the current folder."""

from pathlib import Path

import pytest

from ser.models.encoders.loading import encoder_folder
from ser.project import find_root, in_project


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    (tmp_path / "params.yaml").touch()
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "encoders" / "small").mkdir(parents=True)
    (tmp_path / "data" / "raw").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("folder", [".", "data/raw"])
def test_a_relative_encoder_is_found_from_anywhere_in_the_project(root, folder, monkeypatch):
    monkeypatch.chdir(root / folder)
    assert find_root() == root
    assert encoder_folder("encoders/small") == root / "encoders" / "small"


def test_an_absolute_path_stays_as_it_is(root, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(root)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert in_project(str(elsewhere)) == elsewhere


def test_outside_of_projects_paths_start_at_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_root() is None
    assert in_project("weights.pt") == tmp_path / "weights.pt"
