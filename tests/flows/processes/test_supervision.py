"""States stay true after a process was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.processes.supervision import crash_dead_runs


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
