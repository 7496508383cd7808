"""Descriptions of runs, versions and the model, in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ser.io.tracking.pages.links import run_url
from ser.io.tracking.pages.names import Logged

NOT_JUDGED = "not judged yet"
MODEL_DESCRIPTION = """\
**Speech emotion recognition: one utterance in, an emotion and calibrated posteriors out.**

Versions are registered by the flow `retrain`. The alias `champion` is what serves, `challenger` the
newest. A version's description holds its scores, the gate's verdict and what it was made of; each
verdict is also a row of `mlruns/promotions.jsonl` (`ser history`).

It recognises perceived expression in acted speech, not what a person feels.
"""


def score_text(metrics: Mapping[str, float], split: str = "test") -> str:
    """UAR with interval, beside chance; "" where there is none.

    >>> score_text({"test/uar": 0.71234, "test/chance": 0.125})
    'UAR 0.712, chance 0.125'
    """
    if f"{split}/uar" not in metrics:
        return ""
    low, high = (metrics.get(f"{split}/uar_{bound}") for bound in ("low", "high"))
    between = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    chance = metrics.get(f"{split}/chance")
    beside = "" if chance is None else f", chance {chance:.3f}"
    return f"UAR {metrics[f'{split}/uar']:.3f}{between}{beside}"


def run_description(run: Logged) -> str:
    """What a run's page says first: score, what differs, and where to look."""
    tags = run.tags
    page = run_url("", run.experiment_id, run.run_id).replace("?", "/artifacts/report.html?")
    report = f"[report.html]({page.lstrip('/')})"
    lines = [f"**{score_text(run.metrics)}** on test speakers, {_where(tags)}: {report}."]
    if verdict := tags.get("verdict"):
        lines.append(f"**Version {tags.get('version')}: {verdict}.** {tags.get('verdict_reason')}")
    if before := tags.get("compared_with"):
        lines.append(f"Differs from *{before}*: {tags.get('differs')}.")
    if emotions := tags.get("test.emotions_missing", "none").replace("none", ""):
        lines.append(f"Nobody tested utters {emotions}.")
    # Two spaces at the end: a line of its own. MLflow folds long descriptions.
    return "  \n".join(lines)


def version_description(
    run: Logged,
    *,
    run_url: str = "",
    verdict: str | None = None,
    reason: str | None = None,
) -> str:
    """What a version's page says: scores, verdict, what it was made of, and links.

    run : the run that trained it. run_url : its page; "" for none.
    verdict, reason : the gate's, None until it has judged.
    """
    said = f"**{verdict}**. {reason or ''}".rstrip() if verdict else NOT_JUDGED
    rows = {
        "Verdict": said,
        **{name: value for name, value in facts(run).items() if name != "Flow run"},
        "MLflow": f"[{run.name}]({run_url})" if run_url else run.name,
        "Prefect": _flow(run.tags),
    }
    table = "\n".join(f"| {k} | {_cell(v)} |" for k, v in rows.items() if v)
    # A list of versions shows the beginning of the first line alone.
    first = f"{verdict or NOT_JUDGED}, {score_text(run.metrics)}"
    return f"{first}\n\n| | |\n|---|---|\n{table}\n"


def facts(run: Logged) -> dict[str, str]:
    """What a run's model was made of, by name; what is not known is left out."""
    tags = run.tags
    dirty = " and changes, see git.diff" if tags.get("git.dirty") == "true" else ""
    commit = tags.get("mlflow.source.git.commit", "")[:12]
    found = {
        "Tested on": _where(tags),
        "Champion then": tags.get("champion", ""),
        "Differs": tags.get("differs", ""),
        "git": f"{commit}{dirty}" if commit else "",
        "dvc.lock": tags.get("dvc.lock.sha256", "")[:12],
        "Split": tags.get("split_sha256", "")[:12],
        **{f"DVC, {k.removeprefix('data.')}": v for k, v in tags.items() if k.startswith("data.")},
        "DVC experiment": tags.get("dvc.exp.name", ""),
        "Machine": ", ".join(tags[k] for k in ("process.host", "machine.processor") if tags.get(k)),
        "Flow run": _flow_name(tags),
    }
    return {name: value for name, value in found.items() if value}


def _where(tags: Mapping[str, str]) -> str:
    return f"{tags.get('corpora', 'unknown')}, {tags.get('protocol', 'unknown')}"


def _flow(tags: Mapping[str, str]) -> str:
    name, url = _flow_name(tags), tags.get("flow.url", "")
    return f"[{name or 'flow run'}]({url})" if url else name


def _flow_name(tags: Mapping[str, str]) -> str:
    return tags.get("flow.name") or tags.get("flow.run", "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
