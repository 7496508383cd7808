"""A champion with a reference, and a traffic log of what it answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from ser.bundle import bundle_sha256, load_bundle, save_bundle
from ser.core.drift.reference import Reference
from ser.io.storage.traffic_files import SCHEMA, write_flush
from support.project import Project
from support.registry import promote, register_versions

N = 60


def values(n: int, seed: int, **others: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "duration_seconds": rng.normal(2.4, 0.4, n),
            "snr_db": rng.normal(26, 3, n),
            "bandwidth_hz": 8000.0,
            "pitch_hz": rng.normal(180, 50, n),
            "novelty": rng.normal(0.8, 0.1, n),
            "confidence": rng.uniform(0.5, 1, n),
        }
    )
    return table.assign(**others)


def answers(project: Project, seed: int, **others: float) -> None:
    """`N` answers of version 1 in the traffic log, the last one now."""
    now = datetime.now(UTC)
    sha = bundle_sha256(project.root / "bundles/1")
    rows = [
        {
            **dict.fromkeys(SCHEMA.names),
            "time": now - timedelta(seconds=N - i),
            "source": "server",
            "interface": "rest",
            "bundle_sha256": sha,
            "version": 1,
            "emotion": "anger",
            "latency_ms": 5.0,
            **row,
        }
        for i, row in enumerate(values(N, seed, **others).to_dict("records"))
    ]
    write_flush(rows, project.root / "data/traffic")


def with_reference(project: Project) -> Project:
    """The project with a champion whose reference has ten speakers; one look takes 50 answers."""
    bundle = load_bundle(project.root / "models/bundle")
    reference = Reference.of(values(600, 1), speaker=np.arange(600) % 10, seed=7)
    save_bundle(replace(bundle, reference=reference), project.root / "models/bundle")
    register_versions(project.root, project.root / "models/bundle", range(1, 2))
    promote(project.root, 1)
    project.set(drift__clips=50)
    return project
