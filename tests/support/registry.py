"""What tests do with registered versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ser.bundle import bundle_sha256, load_bundle, save_bundle
from ser.core.gate.verdict import Verdict
from ser.io.tracking import runs
from ser.io.tracking.registry import bundles, journal, promotion, registration, versions


def register_versions(root: Path, bundle_dir: Path, numbers: range) -> list[str]:
    """Register versions whose bundles differ in their cards; their hashes. None is promoted."""
    bundle, hashes = load_bundle(bundle_dir), []
    for number in numbers:
        directory = root / "bundles" / str(number)
        save_bundle(replace(bundle, card={**bundle.card, "number": number}), directory)
        with runs.start_run(root, name=str(number), params={"seed": 7}) as run:
            pass
        hashes.append(bundle_sha256(directory))
        registration.register(
            root,
            directory,
            run_id=run.run_id,
            bundle_sha256=hashes[-1],
            scores={"uar": 0.51239},
            tags={"split_sha256": "s" * 64},
        )
    return hashes


def promote(root: Path, version: int, reason: str = "better") -> versions.Version | None:
    return promotion.promote(root, versions.get_version(root, version), reason=reason)


def keep(root: Path, version: int, **figures: float) -> versions.Version:
    verdict = Verdict(False, "worse", **figures)
    return promotion.attempt(root, versions.get_version(root, version), lambda _: verdict)[0]


def events(root: Path) -> list[tuple[str, int, int | None]]:
    """The journal: (event, version, champion before it)."""
    return [(row["event"], row["version"], row["previous"]) for row in journal.rows(root)]


def serving(root: Path) -> int | None:
    champion = versions.champion(root)
    return champion.version if champion else None


def tamper(root: Path, number: int) -> Path:
    """Change one parameter of a registered bundle, of which the artifacts are the test's own."""
    directory = bundles.fetch_bundle(root, versions.get_version(root, number))
    card = directory / "bundle.json"
    card.write_text(card.read_text().replace('"sr": 16000', '"sr": 8000'))
    return directory
