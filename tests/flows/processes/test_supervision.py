"""States stay true after a process was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.processes import prefect_api
from flows.processes.prefect_api import POOL
from flows.processes.supervision import crash_dead_runs
from flows.servers.worker import crash_seeming


@pytest.mark.usefixtures("prefect")
def test_a_run_whose_process_is_gone_is_marked_by_the_next_run_of_its_project(
    tmp_path: Path,
) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    @flow(name="retrain", validate_parameters=False)
    def retrain(root: str) -> None:
        crash_dead_runs(Path(root))

    with get_client(sync_client=True) as client:
        dead, elsewhere = (
            client.create_flow_run(retrain, parameters={"root": root}, state=Running())
            for root in (str(tmp_path), "/elsewhere")
        )

        state = retrain(str(tmp_path), return_state=True)

        assert state.is_completed()
        assert client.read_flow_run(dead.id).state.is_crashed()
        assert client.read_flow_run(elsewhere.id).state.is_running()


@pytest.mark.usefixtures("prefect")
def test_a_worker_that_starts_leaves_the_flow_runs_of_another_one_alone() -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    @flow(name="retrain")
    def retrain() -> None:
        pass

    with get_client(sync_client=True) as client:
        url = str(client.api_url).rstrip("/")
        prefect_api.post(url, "work_pools/", {"name": POOL, "type": "process"}, may_exist=True)
        deployment = client.create_deployment(client.create_flow(retrain), name="nightly")
        run = client.create_flow_run_from_deployment(deployment, state=Running())

        for name, state in (("other", "RUNNING"), ("ours", "CRASHED")):
            client.request(
                "POST",
                "/work_pools/{work_pool_name}/workers/heartbeat",
                path_params={"work_pool_name": POOL},
                json={"name": name},
            )
            crash_seeming(url, "ours")
            assert client.read_flow_run(run.id).state.type == state
            client.request(
                "DELETE",
                "/work_pools/{work_pool_name}/workers/{name}",
                path_params={"work_pool_name": POOL, "name": name},
            )
