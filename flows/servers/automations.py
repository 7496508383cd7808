"""What the Prefect server does by itself: an event of drift starts the retraining."""

from __future__ import annotations

from flows.events import KINDS, RESOURCE, RETRAIN
from flows.processes import prefect_api

RETRAIN_ON_DRIFT = "ser: drift starts a retraining"
#: The deployment of prefect.yaml that retrains.
DEPLOYMENT = "nightly"


def retrain_on_drift(url: str) -> None:
    """Have the server at `url` start the deployment on drift; one that a person changed stays.

    A deployment that was made anew has another id, and gets another automation.
    """
    found = [
        one["id"]
        for one in prefect_api.deployments(url, prefect_api.TICKS)
        if one["name"] == DEPLOYMENT
    ]
    if not found:
        return
    (deployment,) = found
    named = {"automations": {"name": {"any_": [RETRAIN_ON_DRIFT]}}}
    for one in prefect_api.post(url, "automations/filter", named):
        if any(action.get("deployment_id") == deployment for action in one["actions"]):
            return
        prefect_api.delete(url, f"automations/{one['id']}")
    prefect_api.post(url, "automations/", _automation(deployment))


def _automation(deployment: str) -> dict[str, object]:
    reason = {"__prefect_kind": "jinja", "template": "{{ event.payload.summary }}"}
    return {
        "name": RETRAIN_ON_DRIFT,
        "description": "The flow monitor emits the event; see params.yaml, section drift.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": RESOURCE, RETRAIN: "true"},
            "expect": list(KINDS["drift"]),
            "threshold": 1,
            "within": 0,
        },
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": deployment,
                "parameters": {"root": ".", "reason": reason},
            }
        ],
    }
