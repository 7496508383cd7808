"""Addresses of MLflow's pages, in the view for model training. Pure."""

from __future__ import annotations

from ser.io.tracking.pages import views

#: MLflow's browser else remembers the last one, and starts with that for language models.
TRAINING = "workflowType=machine_learning"


def runs_url(ui: str, experiment_id: str) -> str:
    """The list of runs that shows which is better, of the experiment of the pipeline."""
    shown = f"viewStateShareKey={views.KEY}&{TRAINING}"
    return f"{ui}/#/experiments/{experiment_id}/runs?{shown}"


def run_url(ui: str, experiment_id: str, run_id: str) -> str:
    return f"{ui}/#/experiments/{experiment_id}/runs/{run_id}?{TRAINING}"


def version_url(ui: str, model: str, version: int) -> str:
    return f"{ui}/#/models/{model}/versions/{version}?{TRAINING}"
