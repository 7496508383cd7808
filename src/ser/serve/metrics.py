"""What Prometheus reads at /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

#: Seconds; the targets are 12 ms for one client, 200 ms for sixteen.
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0)


class Metrics:
    """All metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = {"registry": self.registry}
        self.requests = Counter("ser_requests_total", "HTTP requests.", ["route", "status"], **own)
        self.seconds = Histogram(
            "ser_stage_seconds",
            "Seconds of a prediction by stage: body, decode, queue, features, model, total.",
            ["stage"],
            buckets=BUCKETS,
            **own,
        )
        self.rejects = Counter(
            "ser_rejects_total",
            "Requests and frames that were refused, by reason.",
            ["reason"],
            **own,
        )
        self.labels = Counter(
            "ser_predictions_total", "Predictions by emotion.", ["interface", "emotion"], **own
        )
        self.abstentions = Counter(
            "ser_abstentions_total", "Abstentions by reason.", ["interface", "reason"], **own
        )
        self.streams = Gauge("ser_streams", "WebSocket sessions that are open.", **own)
        self.hops = Histogram(
            "ser_hop_seconds",
            "Seconds from the last sample of a hop to its message.",
            buckets=BUCKETS,
            **own,
        )
        self.dropped = Counter(
            "ser_dropped_audio_seconds_total",
            "Audio whose partial results were left out because the server lagged.",
            **own,
        )
        self.queue = Gauge("ser_queue", "Requests that no worker has taken yet.", **own)
        self.active = Gauge("ser_requests_active", "Requests that are worked on or wait.", **own)
        self.version = Gauge(
            "ser_model_version", "1 for the version that serves.", ["version", "bundle"], **own
        )
        self.swaps = Counter(
            "ser_swaps_total", "Changes of the model, by outcome.", ["outcome"], **own
        )
        self.registry_up = Gauge(
            "ser_registry_up", "Whether the registry answered at the last look.", **own
        )
        self.traffic_dropped = Gauge(
            "ser_traffic_rows_dropped", "Rows of the traffic log that could not be written.", **own
        )

    def serves(self, version: int | None, bundle_sha256: str) -> None:
        self.version.clear()
        self.version.labels(str(version or "none"), bundle_sha256[:12]).set(1)

    def text(self) -> bytes:
        return generate_latest(self.registry)
