"""A version's lineage.json in titles and texts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ser.core.scores.metrics import interval_text

#: Hashes are shown by their beginning, as Git does; the file has them whole.
SHOWN = 12


def rows(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Titles and texts, the most asked for first."""
    test, verdict, run = record["scores"]["test"], record["verdict"], record["flow_run"]
    protocol, git = record["protocol"], record["git"]
    yield "Version", f"{record['version'] or 'not registered'} · {record['model']}"
    yield "Recorded", record["recorded_at"]
    score = f"UAR {test['uar']:.3f} {interval_text(test['uar_ci95'])}".rstrip()
    yield "Test", f"{score}, chance {test['chance']:.3f}"
    yield (
        "Protocol",
        f"{'+'.join(protocol['corpora'])} · {protocol['name']} fold {protocol['fold']}",
    )
    if verdict:
        yield "Verdict", f"{'promoted' if verdict['promote'] else 'kept out'}. {verdict['reason']}"
    if record["reason"]:
        yield "Reason", record["reason"]
    for name, value in record["overrides"].items():
        yield "Set for the run", f"{name} {value}"
    if git:
        dirty = f" + difference {git['diff_sha256'][:SHOWN]}" if git["dirty"] else ""
        yield "Code", f"{git['commit'][:SHOWN]}{dirty}"
    else:
        yield "Code", "not recorded: made outside Git"
    yield "dvc.lock", record["dvc_lock_sha256"][:SHOWN]
    for name, md5 in {**record["corpora"], **record["features"]}.items():
        yield name, f"DVC {md5}"
    yield "Manifest", f"DVC {record['manifest']}"
    yield "Split", record["split_sha256"][:SHOWN]
    yield "Bundle", record["bundle_sha256"][:SHOWN]
    yield "Seed", str(record["seed"])
    if record["spread"]:
        spread = record["spread"]
        yield "Spread", f"test UAR {min(spread):.3f} to {max(spread):.3f} over {len(spread)} seeds"
    yield "Flow run", f"{run['name'] or 'none'} {run['url'] or ''}".rstrip()
    yield "MLflow run", record["mlflow_run"]
    machine = record["machine"]
    yield "Machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
    yield "BLAS", machine["blas"]
    libraries = {"python": machine["python"], **record["libraries"]}
    yield "Libraries", ", ".join(f"{name} {number}" for name, number in libraries.items())
