"""What an experiment's page says: view, primary metric, and a description. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from ser.io.tracking.pages import views

#: The pipeline's own runs, and those of `ser benchmark`.
EXPERIMENT, BENCHMARKS = "speech-emotion", "speech-emotion-benchmarks"
NOTE = "mlflow.note.content"
#: Hash of the description that we wrote last: a person's own is never replaced. While one is
#: written, of the new one and the old one. MLflow shows no tag of this prefix.
OURS = "mlflow.note.ours"
TAGS = {
    # Without it MLflow's UI takes the experiment for a language model's.
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "test/uar",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "true",
}

NAMES = """\
| name | what it is |
|---|---|
| `test/…`, `dev/…` | scores on speakers not trained on; dev tuned and calibrated the model |
| `…/uar` | unweighted average recall, which leads; `uar_low`, `uar_high`: its 95 % interval |
| `…/chance` | what guessing scores; `…/ece`: calibration error, less is better |
| `…/recall_anger`, `…/uar_female`, `…/uar_ravdess` | by emotion, by sex, by corpus |
| `epoch/…` | learning curves |
"""
PIPELINE = f"""\
The higher test/uar is better, on one split. Choose the view "{views.NAME}" (Views, at the right).

It ranks the runs, and its charts show what differs, and recall by sex and emotion. Two runs side by
side: tick them, *Compare*. One run: its description, `report.html` and `model-card.md`.
Compare scores of one `split_sha256`.

Each run is one training of the pipeline (`dvc repro`, `dvc exp run`, the flow `retrain`), called
*model, what differs from this model's run before · corpora · protocol and fold · DVC's experiment*.
Its parameters are those that the model reads.

{NAMES}
Tags: `differs` from `compared_with`; the gate's `verdict` and `version`, the `champion` when the
training started; `git.*`, `data.*` (DVC's hashes), `dvc.exp.name` as in `dvc exp show`, and
`flow.url`, Prefect's run.
"""
FOLDS = f"""\
The higher test/uar is better, on one corpus and protocol. Each run is one `ser benchmark`.

The runs nested in it are its folds. Its `test/uar` is over all folds' test speakers together, as
the command prints it; `folds/test_uar_mean` and `folds/test_uar_std` are over folds.

{NAMES}"""
DESCRIPTIONS = {EXPERIMENT: PIPELINE, BENCHMARKS: FOLDS}


def page_tags(experiment: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that the page of an experiment with these tags lacks.

    A tag that is there stays, and so does a description that a person wrote, changed or emptied.
    """
    wanted = {**TAGS, **({views.TAG: views.view_tag()} if experiment == EXPERIMENT else {})}
    lacking = {name: value for name, value in wanted.items() if name not in tags}
    return lacking | note_tags(DESCRIPTIONS.get(experiment, ""), tags)


def note_tags(text: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that make `text` the description; {} where a person wrote, changed or emptied it."""
    found, written = tags.get(NOTE), tags.get(OURS)
    is_ours = found is None if written is None else _sha256(found or "") in written.split()
    if not text or not is_ours or found == text:
        return {}
    return {NOTE: text, OURS: _sha256(text)}


def one_by_one(wanted: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The tags in the order of their writes: a kill between two leaves the description ours."""
    if NOTE in wanted:
        yield OURS, f"{wanted[OURS]} {_sha256(tags.get(NOTE, ''))}"
    yield from wanted.items()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
