# The pipeline's worker; MLflow's and Prefect's servers run from this image, too: their releases are
# then those of their clients. Built from the project's root:
#   docker build --file docker/worker.Dockerfile --tag ser-worker .
#
# The image is the environment. The project, with its Git history and DVC's cache, is mounted at
# /project: it is the code there that runs, and that a version's lineage names.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/ser
WORKDIR /build
COPY requirements.lock ./
# With PyTorch's CPU index in it, torch's CPU build: gigabytes less.
ARG PIP_EXTRA_INDEX_URL
# An index of your own is named by `--secret id=pip,src=pip.conf`: no image keeps its address.
# Only torch comes with its dependencies: those of a CUDA build are not in the lock.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/ser install --constraint requirements.lock "$(grep '^torch==' requirements.lock)" \
    && pip --python /opt/ser install --no-deps --requirement requirements.lock
COPY pyproject.toml README.md /project/
COPY src/ser/__init__.py /project/src/ser/__init__.py
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/ser install --no-deps --editable /project
RUN cd /opt/ser/lib/python3.*/site-packages \
    && find pandas scipy sklearn pyarrow joblib onnx sympy -type d -name tests -prune -exec rm -r {} + \
    && rm -r pyarrow/include pyarrow/src pyarrow/*flight* onnx/backend/test torch/include torch/test \
    && /opt/ser/bin/python -c "import dvc, matplotlib, mlflow, onnx, prefect, pyarrow.parquet, sklearn, torch"

FROM ${BASE}
# The base's own modules are not compiled, and nobody may write them later.
RUN python -m pip uninstall --yes pip setuptools wheel 2>/dev/null \
    && python -m compileall -q -x '/(ensurepip|idlelib|lib2to3|test|tkinter)/' /usr/local/lib/python3.* \
    && apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
    # Whoever owns the mounted project may differ from the user that works here.
    && git config --system --add safe.directory '*' \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin --home-dir /var/lib/ser ser \
    # Written by any user, so that one may be chosen who owns the project; volumes inherit this.
    && install --directory --mode 1777 /var/lib/ser /project
COPY --from=build /opt/ser /opt/ser
COPY docker/healthy.py /opt/healthy.py
# Modules were compiled when they were installed. What else is written lies in /var/lib/ser and /tmp.
ENV PATH=/opt/ser/bin:$PATH \
    HOME=/var/lib/ser \
    USER=ser \
    DVC_SITE_CACHE_DIR=/var/lib/ser/dvc \
    MPLCONFIGDIR=/var/lib/ser/matplotlib \
    NUMBA_CACHE_DIR=/var/lib/ser/numba \
    PREFECT_UI_STATIC_DIRECTORY=/tmp/prefect-ui \
    OMP_WAIT_POLICY=PASSIVE \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=true \
    DVC_NO_ANALYTICS=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_MODEL_CATALOG_URI= \
    PREFECT_SERVER_ANALYTICS_ENABLED=false
WORKDIR /project
VOLUME /var/lib/ser
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=4 \
    CMD ["python", "-I", "/opt/healthy.py", "--worker", "docker"]
CMD ["python", "-m", "flows.servers.worker", "--name", "docker", "--own-server"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ser-worker" \
      org.opencontainers.image.description="Speech emotion recognition: the pipeline's worker, MLflow, Prefect" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
