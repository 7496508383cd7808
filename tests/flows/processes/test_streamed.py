"""Commands whose words are passed on while they run."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.processes.streamed import run_streamed

SPEAK = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
BARS = """
import sys, time
from pathlib import Path
from flows.processes.streamed import run_streamed
child = (
    "import sys; from tqdm import tqdm; print('before', flush=True);"
    "list(tqdm(range(3), desc='work', disable=None)); print('after')"
)
done = run_streamed([sys.executable, "-c", child], cwd=Path.cwd(), env=__import__("os").environ,
                    on_line=lambda line: print("LINE", line, flush=True))
"""


def streamed(code: str, heard: list[str]):
    command = [sys.executable, "-c", code]
    return run_streamed(command, cwd=Path.cwd(), env=os.environ, on_line=heard.append)


def test_both_streams_are_heard_and_the_status_is_kept() -> None:
    heard: list[str] = []

    finished = streamed(SPEAK, heard)

    assert finished.returncode == 3
    assert sorted(heard) == ["one", "two"] == sorted(finished.lines)


def test_lines_are_heard_while_the_command_runs() -> None:
    started = time.monotonic()
    at: list[float] = []
    code = "import time; print('now', flush=True); time.sleep(1)"
    command = [sys.executable, "-c", code]

    run_streamed(
        command,
        cwd=Path.cwd(),
        env=os.environ,
        on_line=lambda _: at.append(time.monotonic() - started),
    )

    assert time.monotonic() - started - at[0] > 0.9


def test_progress_bars_are_drawn_in_a_terminal_and_are_no_lines() -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", BARS], stdout=subprocess.PIPE, stderr=slave, text=True
    )
    lines = process.communicate(timeout=60)[0].splitlines()
    drawn = os.read(master, 65_536).decode()
    os.close(slave)
    os.close(master)

    assert lines == ["LINE before", "LINE after"]
    assert "work: 100%" in drawn


def test_a_line_of_terminal_colours_alone_is_empty(tmp_path: Path) -> None:
    """DVC ends its words in a terminal with one, which the flow logged as an empty line."""
    code = r"print('\x1b[33mWARNING\x1b[39m: odd\n\x1b[0m')"
    finished = run_streamed(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ, on_line=lambda _: None
    )
    assert finished.lines == ("WARNING: odd", "")


def test_an_interrupt_ends_all_that_the_command_started() -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    code = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '60']);"
        "print(child.pid, flush=True); child.wait()"
    )
    with pytest.raises(KeyboardInterrupt):
        run_streamed(
            [sys.executable, "-c", code], cwd=Path.cwd(), env=os.environ, on_line=interrupt
        )

    deadline = time.monotonic() + 5
    while _runs(pids[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pids[0])


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().split()[2]
    except OSError:
        return False
    return state != "Z"


TREE = """
import os, sys
from pathlib import Path
from flows.processes.streamed import run_streamed
stage = '''
import subprocess, sys
# A worker in a session of its own, and one whose parent ends before it.
own = subprocess.Popen(["sleep", "60"], start_new_session=True)
leave = ["sh", "-c", "sleep 60 >/dev/null & echo $!"]
orphan = subprocess.run(leave, stdout=subprocess.PIPE, text=True)
print(own.pid, orphan.stdout.strip(), flush=True)
own.wait()
'''
run_streamed(
    ["sh", "-c", f"exec {sys.executable} -c '$0'".replace("$0", stage)],
    cwd=Path.cwd(), env=os.environ, on_line=lambda line: print(line, flush=True),
)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_outlives_a_flow_that_a_signal_ended(sign: signal.Signals) -> None:
    flow = subprocess.Popen([sys.executable, "-c", TREE], stdout=subprocess.PIPE, text=True)
    with flow.stdout:
        children = [int(pid) for pid in flow.stdout.readline().split()]
    assert len(children) == 2
    flow.send_signal(sign)
    flow.wait()

    deadline = time.monotonic() + 20
    while any(map(_runs, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_runs, children))


def test_a_command_can_be_interrupted_although_the_flow_ignores_it() -> None:
    """A shell script hands an ignored Ctrl-C to what it starts in the background."""
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    flow = TREE.partition("stage =")[0] + (
        f"run_streamed([sys.executable, '-c', {code!r}], cwd=Path.cwd(), env=os.environ,"
        "on_line=lambda line: print(line, flush=True))"
    )
    ignoring = ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, flow]

    done = subprocess.run(ignoring, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "True"


def test_what_a_command_leaves_behind_ends_and_its_status_is_kept() -> None:
    heard: list[str] = []
    code = (
        "import subprocess, os, signal; p = subprocess.Popen(['sleep', '60'], "
        "start_new_session=True); print(p.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )

    finished = streamed(code, heard)

    assert finished.returncode == 128 + signal.SIGKILL
    assert not _runs(int(heard[0]))
