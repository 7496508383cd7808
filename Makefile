# `make help` lists what there is. Everything lives in this folder: .venv, mlruns, .prefect, .dvc.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev

# Threads that wait must not spin: beside another busy process training was four times slower.
export OMP_WAIT_POLICY = PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup run up down status serve ui worker repro test quick lint lock images

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-7s %s\n", $$1, $$2}'

setup: $(READY) ## The virtual environment, from the lock; `ser` is in .venv/bin

run: $(READY) ## Retrain: what is stale is made again, a model that is not worse is promoted
	@$(PY) -m flows.retrain

up: $(READY) ## MLflow, Prefect, the schedule and the server, in the background; again: their health
	@$(PY) -m flows.servers.up

down: $(READY) ## End what `make up` has started
	@$(PY) -m flows.servers.down

status: $(READY) ## What serves, its data, the last ticks, the next one, what runs
	@$(PY) -m flows.servers.status

serve: $(READY) ## The champion alone: page, REST and live streams on port 8000, until Ctrl-C
	@exec $(VENV)/bin/ser serve

ui: $(READY) ## MLflow and Prefect alone, until Ctrl-C
	@exec $(PY) -m flows.servers.up --foreground --no-worker

worker: $(READY) ## A worker alone: the schedule of prefect.yaml, on the server of PREFECT_API_URL
	@exec $(PY) -m flows.servers.worker

repro: $(READY) ## The pipeline alone: nothing is registered
	@$(PY) -m flows.repro

# Two processes on two cores, and all that they start: a second thread of each would only wait.
T ?= tests
N ?= 2
PYTEST = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m pytest -n $(N) --dist loadfile --no-loadscope-reorder
test: $(DEV) ## The whole test suite; `make test T=tests/core N=4`: some of it, in 4 processes
	@$(PYTEST) --durations 15 $(T)

quick: lint ## What a change usually needs: lint, and the tests that start no process
	@$(PYTEST) tests/core tests/vad tests/test_house.py tests/test_params.py

lint: $(DEV) ## Style, layers of the house, types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/lint-imports --no-cache
	@$(VENV)/bin/mypy

# CUDA's packages are left to pip, which takes them only with torch's CUDA build.
COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate \
  --no-header
NO_CUDA = grep -vE '^(nvidia-|triton|cuda-)'
# The server reads weights out of silero-vad, which asks for torch: the override leaves torch out.
lock: $(DEV) ## Resolve pyproject.toml anew: what running, development and the server's image need
	@$(COMPILE) pyproject.toml --extra dev | $(NO_CUDA) > requirements-dev.lock
	@$(COMPILE) pyproject.toml --extra formats --extra insight --extra vad -c requirements-dev.lock | $(NO_CUDA) \
	  > requirements.lock
	@echo "torch; python_version < '3'" > .no-torch.tmp
	@$(COMPILE) --group serve --overrides .no-torch.tmp -c requirements.lock > requirements-serve.lock
	@rm .no-torch.tmp

# Podman's own format has no health checks.
images: export BUILDAH_FORMAT = docker
ENGINE ?= docker
images: ## Images of the server and of the worker; `make images ENGINE=podman`
	@for role in serve worker; do $(ENGINE) build --file docker/$$role.Dockerfile \
	  --build-arg REVISION=$$(git rev-parse HEAD) --tag ser-$$role . || exit; done

# pip fetches torch, so that pip's own settings choose between its CPU and CUDA builds; uv does
# the rest in a tenth of pip's time. Where uv cannot reach an index that pip is set up for, pip
# does it all.
PIP = $(PY) -m pip install --quiet --disable-pip-version-check
UV = $(VENV)/bin/uv pip install --quiet --python $(PY)
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	  f"error: {sys.executable} is Python {v.major}.{v.minor}; 3.11 or newer is needed. Name one: make PYTHON=python3.12 …")'
	@echo "Setting up $(VENV) from requirements.lock …"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) $$(grep -hE '^(torch|uv)==' requirements.lock requirements-dev.lock | sort -u)
	@$(UV) --compile-bytecode -r requirements.lock || $(PIP) -r requirements.lock
	@$(UV) --no-deps --editable . || $(PIP) --no-deps --editable .
	@touch $@

$(DEV): $(READY) requirements-dev.lock
	@echo "Adding what development needs from requirements-dev.lock …"
	@$(UV) --compile-bytecode -r requirements-dev.lock || $(PIP) -r requirements-dev.lock
	@touch $@
