"""What of a machine decides the last bits of a result."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from packaging.requirements import Requirement

from ser.io.tracking.lineage import processor

PACKAGE = "ser-platform"
#: Packages that compute what a model is made of, or write it.
NUMERIC = (
    *("espeakng-loader", "librosa", "lightning", "numpy", "pandas", "pyarrow", "safetensors"),
    *("scikit-learn", "scipy", "skops", "soundfile", "soxr", "torch"),
)


def machine() -> dict[str, Any]:
    """Processor, kernels of the BLAS libraries that NumPy and SciPy loaded, and their threads."""
    import numpy  # noqa: F401
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    pools = {
        f"{pool['internal_api']} {pool['version']} {pool['architecture']}, "
        f"threads {pool['num_threads']}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
        "blas": "; ".join(sorted(pools)),
    }


def libraries() -> dict[str, str]:
    """Versions of the packages that this one asks for."""
    names = [Requirement(line) for line in requires(PACKAGE) or ()]
    found = {}
    for requirement in names:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                found[requirement.name] = version(requirement.name)
            except PackageNotFoundError:
                continue
    return found


def differences(recorded: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What is not the same, a line each: "blas: … → …"."""
    return [
        f"{name}: {recorded.get(name)} → {here.get(name)}"
        for name in dict.fromkeys([*recorded, *here])
        if recorded.get(name) != here.get(name)
    ]
