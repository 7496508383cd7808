"""Processes are forked wherever temporary files are."""

import subprocess
import sys

SCRIPT = """
import os
from ser.parallel import fork_server

def answer(connection):
    connection.send(os.getppid())

if __name__ == "__main__":
    context = fork_server("json")
    ours, theirs = context.Pipe()
    process = context.Process(target=answer, args=(theirs,))
    process.start()
    assert ours.recv() != os.getpid()
    process.join()
    print(process.exitcode)
"""


def test_a_long_path_of_temporary_files_is_in_no_way(tmp_path, monkeypatch):
    folder = tmp_path / ("a long name " * 8)
    folder.mkdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setenv("TMPDIR", str(folder))
    ended = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr
