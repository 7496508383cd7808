"""Packages of extras, and the one line where they are missing."""

import sys

import pytest

from ser.errors import SerError
from ser.extras import need


def test_a_package_that_is_there_is_imported():
    assert need("insight", "shap.explainers").__name__ == "shap.explainers"


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(SerError, match=r"pyworld-prebuilt is not.*ser-platform\[insight\]"):
        need("insight", "pyworld")
