"""Saved views of an experiment's page, in MLflow's own form: columns, order and charts. Pure.

MLflow's browser keeps what a person last looked at; a saved view is kept with the experiment, in a
tag. It stands in the list `Views`, and has an address.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from ser.core.utterance.emotions import COLOURS

#: Of the view's tag and address.
KEY = "which-is-better"
TAG = f"mlflow.sharedViewState.{KEY}"
NAME = "Which is better, and why"
#: Columns in order, with their width; those that MLflow always shows are named, too.
COLUMNS = {
    "0": 40,
    "attributes.`Run Name`": 300,
    "metrics.`test/uar`": 85,
    "metrics.`test/uar_low`": 100,
    "metrics.`test/uar_high`": 105,
    "tags.`protocol`": 150,
    "tags.`verdict`": 80,
    "tags.`differs`": 260,
    "metrics.`dev/uar`": 85,
    "metrics.`test/ece`": 85,
    "tags.`version`": 75,
    "runDateAndNestInfo": 125,
    "duration": 85,
}
#: Charts by section, in order. Those of metrics that no run has are hidden.
CHARTS = {
    "Which is better": ("test/uar", "dev/uar", "test/ece"),
    "What differs": (),
    "By sex": ("test/uar_female", "test/uar_male"),
    "By emotion": tuple(f"test/recall_{emotion}" for emotion in COLOURS),
    "Learning curves": ("epoch/train_loss", "epoch/dev_loss", "epoch/dev_uar"),
}
#: MLflow adds charts of all other metrics there; closed, they do not hide the ones that matter.
CLOSED = ("dev", "epoch", "test", "train", "Model metrics", "System metrics")
RUNS = 20


def view_tag() -> str:
    """The value of TAG."""
    state = zlib.compress(json.dumps(_state()).encode())
    content = {
        "name": NAME,
        "createdAt": 0,
        "updatedAt": 0,
        "state": f"deflate;{base64.b64encode(state).decode()}",
    }
    return json.dumps(content)


def _state() -> dict[str, Any]:
    charts = [
        _difference("What differs"),
        *(_chart(metric, section) for section, found in CHARTS.items() for metric in found),
    ]
    return {
        "searchFilter": "",
        "orderByKey": "metrics.`test/uar`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [name for name in COLUMNS if name.startswith(("metrics.", "tags."))],
        "columnOrder": list(COLUMNS),
        "columnWidths": COLUMNS,
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": charts,
        "compareRunSections": [
            *(_section(name, is_open=True) for name in CHARTS),
            *(_section(name, is_open=False) for name in CLOSED),
        ],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def _section(name: str, *, is_open: bool) -> dict[str, Any]:
    # A table of runs needs all the width.
    return {
        "columns": 1 if name == "What differs" else 3,
        "uuid": name,
        "name": name,
        "display": is_open,
        "isReordered": is_open,
        "deleted": False,
        "isGenerated": not is_open,
    }


def _chart(metric: str, section: str) -> dict[str, Any]:
    """A bar a run, or a line a run for a metric with epochs."""
    chart = {**_card(section, metric), "displayName": metric, "metricKey": metric}
    if not metric.startswith("epoch/"):
        return {**chart, "type": "BAR"}
    return {
        **chart,
        "type": "LINE",
        "lineSmoothness": 0,
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "range": {},
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }


def _difference(section: str) -> dict[str, Any]:
    """A table of the parameters that differ between the runs."""
    return {
        **_card(section, "difference"),
        "type": "DIFFERENCE",
        "chartName": "What differs",
        "compareGroups": ["Parameters"],
        "showChangeFromBaseline": True,
        "showDifferencesOnly": True,
        "baselineColumnUuid": "",
    }


def _card(section: str, name: str) -> dict[str, Any]:
    return {
        "uuid": f"ser {name}",
        "runsCountToCompare": RUNS,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
    }
