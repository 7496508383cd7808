# The server, `ser serve`: neither torch nor the pipeline. Built from the project's root:
#   docker build --file docker/serve.Dockerfile --tag ser-serve .
#
# By tag, so that a new build has the base's security fixes. For the same bytes again, name a digest:
#   --build-arg BASE=docker.io/library/python@sha256:…
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/ser
WORKDIR /build
COPY requirements-serve.lock ./
# An index of your own is named by `--secret id=pip,src=pip.conf`: no image keeps its address.
# Wheels alone: nothing is compiled here. No dependencies: the lock has all of them, and silero-vad
# would ask for torch, of which it needs nothing here: only its file of weights is read.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/ser install --no-deps --only-binary :all: --requirement requirements-serve.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/ser install --no-deps .
# Tests and headers of the libraries, and Arrow's server; then a look whether all are whole.
RUN cd /opt/ser/lib/python3.*/site-packages \
    && find pandas scipy sklearn pyarrow joblib onnx -type d -name tests -prune -exec rm -r {} + \
    && rm -r pyarrow/include pyarrow/src pyarrow/*flight* onnx/backend/test \
    && /opt/ser/bin/python -c "import ser.serve.server, onnx, onnxruntime, pyarrow.parquet, sklearn, skops.io"

FROM ${BASE}
# The base's own modules are not compiled, and nobody may write them later.
RUN python -m pip uninstall --yes pip setuptools wheel 2>/dev/null \
    && python -m compileall -q -x '/(ensurepip|idlelib|lib2to3|test|tkinter)/' /usr/local/lib/python3.* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin --home-dir /var/lib/ser ser \
    && install --directory --owner ser --group ser /var/lib/ser
COPY --from=build /opt/ser /opt/ser
COPY docker/healthy.py /opt/healthy.py
# Modules were compiled when they were installed. Numba is not here, and no model of this image
# needs it; where one is added, it finds a folder that can be written.
ENV PATH=/opt/ser/bin:$PATH \
    HOME=/var/lib/ser \
    NUMBA_CACHE_DIR=/tmp/numba \
    OMP_WAIT_POLICY=PASSIVE \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SER_SERVE__HOST=0.0.0.0
# Bundles of an MLflow server, the traffic log, corrections and the key of voice profiles.
WORKDIR /var/lib/ser
VOLUME /var/lib/ser
USER 10001:10001
EXPOSE 8000
# Alive, not ready: a server that waits for the first champion is no reason to restart it.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-I", "/opt/healthy.py", "http://127.0.0.1:8000/health/live"]
ENTRYPOINT ["ser", "serve"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ser-serve" \
      org.opencontainers.image.description="Speech emotion recognition: REST, live streams and a page" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
