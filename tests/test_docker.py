"""What an engine would find out about `docker/`, as far as it is found without one."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.processes.server import free_port
from ser.params import parse_params
from ser.params.overrides import from_environment, set_value
from ser.serve.metrics import Metrics
from ser.strict_yaml import load_yaml
from support.project import Project
from support.serving import stop

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
GUIDE = ROOT / "docs/howto/deploy.md"
COMPOSE: dict[str, Any] = load_yaml((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
FILES = sorted(DOCKER.glob("*.Dockerfile"))
#: `${NAME}`, `${NAME:-default}` or `${NAME:?message}`.
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<value>[^}]*))?\}")
#: Of a compose file's service; Compose refuses others.
KEYS = {
    *(
        "build",
        "cap_drop",
        "command",
        "depends_on",
        "deploy",
        "environment",
        "healthcheck",
        "image",
    ),
    *("init", "logging", "pids_limit", "ports", "read_only", "restart", "security_opt"),
    *("stop_grace_period", "tmpfs", "user", "volumes", "working_dir"),
}
#: What the server's image is without.
LEFT_OUT = ("torch", "lightning", "prefect", "dvc", "mlflow", "matplotlib", "pytest")


def by_default(text: str) -> str:
    """A value of the compose file where the environment is empty."""
    return VARIABLE.sub(lambda found: found["value"] if found["kind"] == "-" else "given", text)


def instructions(path: Path) -> list[tuple[str, str]]:
    """(keyword, arguments) of a Dockerfile, continued lines joined."""
    lines = [x for x in path.read_text().splitlines() if not x.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
        for line in joined.splitlines()
        if line
    ]


def last_stage(path: Path) -> dict[str, str]:
    """The last value of each keyword of the image that is kept."""
    found: dict[str, str] = {}
    for keyword, arguments in instructions(path):
        found = {} if keyword == "FROM" else {**found, keyword: arguments}
    return found


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name: str) -> dict[str, set[str]]:
    """The versions of each distribution in a lock, by its normalised name."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        distribution, _, version = line.partition(";")[0].strip().partition("==")
        found.setdefault(normalised(distribution), set()).add(version)
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_be_started_watched_and_started_again(name):
    service = SERVICES[name]
    assert service.keys() <= KEYS
    assert service["restart"] == "unless-stopped"
    test = service["healthcheck"]["test"]
    assert test[0] == "CMD"
    assert "/opt/healthy.py" in test
    file = COMPOSE["x-platform"]["build"] if service["image"] == "ser-worker" else service["build"]
    assert (DOCKER / file["context"] / file["dockerfile"]).is_file()
    limits = service["deploy"]["resources"]["limits"]
    assert float(by_default(limits["cpus"])) > 0
    assert re.fullmatch(r"\d+g", by_default(limits["memory"]))
    for other, how in service.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert SERVICES[other]["healthcheck"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little(name):
    service = SERVICES[name]
    user, group = (int(part) for part in by_default(service["user"]).split(":"))
    assert user >= 1000
    assert group >= 1000
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(by_default(port).startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_writes_lies_in_a_volume_of_its_own(name):
    mounts = [by_default(mount).partition(":") for mount in SERVICES[name]["volumes"]]
    (state,) = [source for source, _, target in mounts if target == "/var/lib/ser"]
    assert state in COMPOSE["volumes"]
    others = [service for other, service in SERVICES.items() if other != name]
    assert all(f"{state}:/var/lib/ser" not in other["volumes"] for other in others)
    # Others' volumes are read alone.
    written = {source for source, _, target in mounts if not target.endswith(":ro")}
    assert written - {state} <= {".."}


def test_the_example_of_settings_has_each_variable_of_the_stack_and_no_other():
    used = {found["name"] for found in VARIABLE.finditer((DOCKER / "compose.yaml").read_text())}
    written = re.findall(r"^#?(\w+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE)
    assert set(written) == used
    assert len(written) == len(used)


def test_secrets_are_given_and_never_written():
    environment = SERVICES["serve"]["environment"]
    assert "${SER_SERVE_TOKEN:?" in environment["SER_SERVE_TOKEN"]
    assert by_default(environment["SER_PROFILE_KEY"]) == ""
    assert "/docker/.env" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert not any(line.startswith("!") and ".env" in line for line in ignored)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_that_an_image_copies_is_here_and_sent_to_the_engine(path):
    sent = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [
        source
        for keyword, arguments in instructions(path)
        if keyword == "COPY" and "--from" not in arguments
        for source in arguments.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(f"{source}/".startswith(f"{one}/") for one in sent), f"{source} is not sent"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_image_runs_as_nobody_special_and_says_how_it_is(path):
    stage = last_stage(path)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", stage["USER"])
    check = json.loads(stage["HEALTHCHECK"].partition("CMD ")[2])
    assert "/opt/healthy.py" in check
    # As a list: the process itself gets the signal that stops the container, and no shell.
    start = json.loads(stage.get("ENTRYPOINT") or stage["CMD"])
    assert isinstance(start, list)
    for setting in ("PYTHONDONTWRITEBYTECODE=1", "NUMBA_CACHE_DIR=/", "ORT_DISABLE_TELEMETRY=1"):
        assert setting in stage["ENV"]
    assert "pip uninstall" in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_image_is_made_of_the_pinned_base_and_the_run_time_lock(path):
    text = path.read_text()
    (base,) = re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", base)
    assert {
        arguments.split()[0] for keyword, arguments in instructions(path) if keyword == "FROM"
    } == {"${BASE}"}
    lock = "requirements-serve.lock" if path.stem == "serve" else "requirements.lock"
    assert f"--requirement {lock}" in text
    assert "requirements-dev.lock" not in text


def test_the_servers_lock_is_small_and_agrees_with_that_of_the_project():
    serve, project = locked("requirements-serve.lock"), locked("requirements.lock")
    assert serve.keys() & set(LEFT_OUT) == set()
    assert serve.keys() <= project.keys() | {"colorama", "tzdata"}
    for name in serve.keys() & project.keys():
        assert serve[name] <= project[name], name


def test_the_start_of_the_worker_takes_the_options_that_the_image_gives():
    stage = last_stage(DOCKER / "worker.Dockerfile")
    command = json.loads(stage["CMD"])
    assert command[:3] == ["python", "-m", "flows.servers.worker"]
    check = json.loads(stage["HEALTHCHECK"].partition("CMD ")[2])
    assert command[command.index("--name") + 1] == check[check.index("--worker") + 1]
    shown = subprocess.run(
        [sys.executable, *command[1:3], "--help"], capture_output=True, text=True
    )
    assert all(option in shown.stdout for option in command[3:] if option.startswith("--"))


#: Read as Python starts: what is not locked is not installed, for `import` and for metadata.
ONLY_LOCKED = """
import re, sys
HIDDEN, LOCK = {hidden!r}, {lock!r}
class Locked:
    def __init__(self, finders):
        self.finders = finders
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in found if spec), None)
    def find_distributions(self, *context):
        for finder in self.finders:
            for found in getattr(finder, "find_distributions", lambda *_: ())(*context):
                if re.sub("[-_.]+", "-", found.metadata["Name"]).lower() in LOCK:
                    yield found
    def invalidate_caches(self):
        pass
sys.meta_path[:] = [Locked(list(sys.meta_path))]
"""


@pytest.fixture(scope="module")
def only_locked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose Python has what requirements-serve.lock has, and no more."""
    lock = set(locked("requirements-serve.lock"))
    hidden = {
        module
        for module, distributions in packages_distributions().items()
        if module != "ser" and lock.isdisjoint(map(normalised, distributions))
    }
    assert {"torch", "librosa", "sqlalchemy"} <= hidden
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(ONLY_LOCKED.format(hidden=hidden, lock=lock))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SER_", "MLFLOW_"))}
    path = [str(folder), str(ROOT / "src")]
    return {**environment, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}


@contextmanager
def serving(folder: Path, environment: dict[str, str], *options: str) -> Iterator[str]:
    """`ser serve` in a folder once it listens, on the port of the environment; its address."""
    command = [sys.executable, "-m", "ser.cli", "serve", *options]
    port = environment["SER_SERVE__PORT"]
    with open(folder / "log.txt", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                httpx.get(f"{address}/health/live", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address
    finally:
        stop(process)


@pytest.fixture
def port() -> str:
    """One that nobody listens on."""
    return str(free_port())


def until_ready(address: str, folder: Path) -> None:
    deadline = time.monotonic() + 120
    while httpx.get(f"{address}/health/ready", timeout=5).status_code != 200:
        assert time.monotonic() < deadline, (folder / "log.txt").read_text()
        time.sleep(0.1)


def test_the_server_answers_with_nothing_but_what_its_lock_has(
    trained: Project, only_locked: dict[str, str], tmp_path: Path, port: str
) -> None:
    (clip, *_) = sorted((trained.root / "data/raw/synthetic").rglob("*.wav"))
    bundle = str(trained.root / "models/bundle")
    with serving(tmp_path, {**only_locked, "SER_SERVE__PORT": port}, "--model", bundle) as url:
        until_ready(url, tmp_path)
        answer = httpx.post(f"{url}/v1/predict", files={"file": clip.read_bytes()}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert sum(answer.json()["posteriors"].values()) == pytest.approx(1)


def test_the_server_needs_no_project_where_an_mlflow_server_is_named(
    only_locked: dict[str, str], tmp_path: Path, port: str
) -> None:
    store = ThreadingHTTPServer(("127.0.0.1", 0), EmptyRegistry)
    threading.Thread(target=store.serve_forever, args=(0.05,), daemon=True).start()
    environment = {
        **only_locked,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{store.server_port}",
        "SER_SERVE__PORT": port,
        "SER_SERVE__ALLOWED_HOSTS": "[ser.example.org]",
    }
    try:
        with serving(tmp_path, environment) as url:
            deadline = time.monotonic() + 60
            detail = ""
            while "No version" not in detail and time.monotonic() < deadline:
                ready = httpx.get(f"{url}/health/ready", timeout=5)
                detail = ready.json()["detail"]
                time.sleep(0.1)
            assert ready.status_code == 503
            assert "No version is promoted yet" in detail
            for host, status in (("ser.example.org", 200), ("other.example.org", 400)):
                answer = httpx.get(f"{url}/health/live", headers={"Host": host}, timeout=5)
                assert answer.status_code == status
    finally:
        store.shutdown()
        store.server_close()


class EmptyRegistry(BaseHTTPRequestHandler):
    """What MLflow's server answers where nothing is registered."""

    def do_GET(self) -> None:
        healthy = self.path == "/health"
        body = b"OK" if healthy else json.dumps(MISSING).encode()
        self.send_response(200 if healthy else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


MISSING = {
    "error_code": "RESOURCE_DOES_NOT_EXIST",
    "message": "Registered Model with name=emotion-recognition not found",
}


def test_networks_and_the_detector_of_speech_need_nothing_but_what_the_lock_has(
    only_locked: dict[str, str],
) -> None:
    words = (
        "import av, onnxruntime, mlflow.artifacts\n"
        "import ser.models.networks.without_torch, ser.models.ensemble\n"
        "from ser.vad.detect import choose_detector\n"
        "print(choose_detector())"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], env=only_locked, capture_output=True, text=True
    )
    assert done.stdout.strip() == "silero", done.stderr


@contextmanager
def answering(status: int, body: object = None) -> Iterator[str]:
    """A server on this machine that answers everything alike; its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def healthy(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(DOCKER / "healthy.py"), *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env)


def test_a_container_is_healthy_where_its_server_answers_with_success():
    with answering(200) as url:
        assert healthy(url).returncode == 0
    gone = healthy(url)
    with answering(503) as url:
        failing = healthy(url)
    for done in (gone, failing):
        assert done.returncode == 1
        assert done.stderr.startswith("not well: ")


@pytest.mark.parametrize(
    ("workers", "is_well"),
    [
        ([{"name": "other", "status": "OFFLINE"}, {"name": "docker", "status": "ONLINE"}], True),
        ([{"name": "other", "status": "ONLINE"}, {"name": "docker", "status": "OFFLINE"}], False),
        ([], False),
    ],
)
def test_a_worker_is_healthy_where_prefect_lists_it_as_online(workers, is_well):
    with answering(200, workers) as url:
        done = healthy("--worker", "docker", PREFECT_API_URL=f"{url}/api")
    assert (done.returncode == 0) == is_well, done.stderr


def yaml_of_the_guide(first: str) -> dict[str, Any]:
    """The one example of the guide that begins with this key."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if block.startswith(f"{first}:")]
    return load_yaml(block)


def test_alerts_of_the_guide_are_of_metrics_that_the_server_has():
    groups = yaml_of_the_guide("groups")["groups"]
    expressions = [rule["expr"] for group in groups for rule in group["rules"]]
    asked = {name for text in expressions for name in re.findall(r"ser_\w+", text)}
    text = Metrics().text().decode()
    families = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    buckets = {f"{name}_bucket" for name, kind in families.items() if kind == "histogram"}
    assert asked
    assert asked <= families.keys() | buckets


def test_the_guides_override_and_settings_are_taken():
    override = yaml_of_the_guide("services")["services"]
    assert override.keys() <= SERVICES.keys()
    assert override["serve"].keys() <= {*KEYS, "entrypoint"}
    lines = [x for x in GUIDE.read_text().splitlines() if x.startswith("SER_SERVE__")]
    words = [shlex.split(line, comments=True)[0] for line in lines]
    variables = dict(word.split("=", 1) for word in words)
    values: dict[str, Any] = {}
    for name, value in from_environment(variables, "serve"):
        set_value(values, name, value)
    assert len(variables) == 3
    assert parse_params(values).serve.limits.max_seconds == 60
