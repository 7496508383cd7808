"""Packages of an extra: imported where they are needed, and named where they are missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ser.errors import SerError

#: Packages by the module that is imported, where the names differ.
PACKAGES = {"pyworld": "pyworld-prebuilt", "umap": "umap-learn"}


def need(extra: str, module: str) -> ModuleType:
    """The imported module, such as need("insight", "shap"); raises SerError where it is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        package = PACKAGES.get(module.partition(".")[0], module.partition(".")[0])
        raise SerError(
            f"{package} is not installed; this needs the extra {extra}: "
            f"pip install 'ser-platform[{extra}]'."
        ) from error
