"""What several rooms' tests share."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from ser.io.web.quiet import set_quiet
from support.project import Project
from support.publisher import Publisher

ROOT = Path(__file__).parents[1]

set_quiet()
# Read when torch loads. The suite's processes share the cores: a waiting thread sleeps, not spins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A suite that runs in the background ignores Ctrl-C and the end of its terminal, and so would all
# that it starts.
for ignored, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, handler)


#: Folders with the longest tests, which begin first: no process waits for another at the end.
LONG = ("flows", "guides", "serve", "stages", "io/tracking", "models/ensemble", "benchmark")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = [str(ROOT / "tests" / folder) for folder in LONG]
    items.sort(key=lambda item: not str(item.path).startswith(tuple(places)))


@pytest.fixture(scope="session")
def real_corpora() -> Path:
    """The folder of real recordings that SER_CORPORA names; the test is skipped without it."""
    folder = os.environ.get("SER_CORPORA")
    if not folder:
        pytest.skip("SER_CORPORA is unset: name a folder that holds ravdess/ to test real speech")
    path = Path(folder).resolve()
    if not (path / "ravdess").is_dir():
        pytest.fail(f"SER_CORPORA is {folder}, but it holds no ravdess folder")
    return path


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A publisher's server on this machine, see `Publisher`."""
    # A proxy of this machine's would not find it.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Publisher() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """What a clone holds, and no artefact; embedded corpus of 6 speakers × 3 sentences."""
    root = tmp_path_factory.mktemp("checkout") / "project"
    root.mkdir()
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("src", "flows"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "data/raw/.gitignore"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc")
    git = ["git", "-C", str(root), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    project = Project(root)
    project.set(synthetic__speakers=6, synthetic__sentences=3, model__name="logistic_regression")
    # Three speakers to train on are too few to tell what is strange.
    project.set(abstention__max_novelty_percentile=None)
    # Few changes of few recordings: the suite trains many models.
    project.set(stress__utterances=4, stress__families=["small"])
    # Two speakers are tested.
    project.set(gate__min_speakers=1)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "a checkout"], check=True)
    return project


@pytest.fixture(scope="session")
def trained(checkout: Project, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A copy of the checkout after all stages; read only, see `project` for one to change.

    The suite's processes share it: the first that asks makes it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "trained"
    with FileLock(f"{folder}.lock"):
        # Made in its place: the MLflow store holds absolute paths.
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            checkout.copied_to(folder).make_all()
            (folder / "made").touch()
    return Project(folder / "project")


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    """A trained project of the test's own."""
    return trained.copied_to(tmp_path)
