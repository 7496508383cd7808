"""The flow `monitor`: look at what the champion answered last; tell of drift, and retrain on it.

A deployment of prefect.yaml runs it on an interval. The event of drift starts the retraining by an
automation of the server's (`flows/servers/automations.py`), so that both can be seen, paused and
changed there.
"""

from __future__ import annotations

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows import events, flow_run
from flows.processes.supervision import supervise
from ser.errors import NoChampion
from ser.io.web.loopback import bypass_proxies
from ser.params import load_params
from ser.project import DRIFT_PAGE
from ser.watch import looking
from ser.watch.page import markdown


@flow(name="monitor", validate_parameters=False)
def monitor(root: str = ".") -> str:
    """Compare the last answers with the champion's training speech; the summary of what was found.

    Args:
        root: The project's folder; leave it as it is.
    """
    project = Path(root).resolve()
    bypass_proxies()
    supervise()
    log = get_run_logger()
    with flow_run.refusal_named():
        params = load_params(project / "params.yaml")
        try:
            found = looking.look(project, params)
        except NoChampion as error:
            log.info("%s", error)
            flow_run.name_after("no champion")
            return str(error)
    summary = found.drift.summary
    if found.tells(params.drift.cooldown_hours):
        log.warning("%s The page is %s.", summary, DRIFT_PAGE)
        retrain = "true" if params.drift.retrain else "false"
        events.emit(
            "drift",
            summary,
            labels={events.RETRAIN: retrain},
            version=found.drift.version,
        )
        # After the event: a kill in between tells twice rather than never.
        found = found.as_told()
    elif found.drift.drifted:
        log.info("%s It was told at %s, and is not told again so soon.", summary, found.told)
    else:
        log.info("%s", summary)
    looking.write(project, found)
    create_markdown_artifact(key="drift", markdown=markdown(found.to_dict()), description=summary)
    flow_run.name_after("drift" if found.drift.drifted else "no drift")
    return summary
