"""What Prometheus reads at /metrics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

#: Seconds; the targets are 12 ms for one client, 200 ms for sixteen.
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0)


class Metrics:
    """All metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ser_{name}_total", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"ser_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"ser_{name}", text, labels, registry=registry, buckets=BUCKETS)

        self.requests = counter("requests", "HTTP requests.", "route", "status")
        self.rejects = counter("rejects", "Requests and frames refused, by reason.", "reason")
        self.seconds = histogram(
            "stage_seconds",
            "Seconds of a prediction by stage: body, decode, queue, features, model, total.",
            "stage",
        )
        self.labels = counter("predictions", "Predictions by emotion.", "interface", "emotion")
        self.abstentions = counter("abstentions", "Abstentions by reason.", "interface", "reason")
        self.timelines = counter("timelines", "Timelines: made, refused, left.", "outcome")
        self.timeline_seconds = counter("timeline_audio_seconds", "Audio of timelines made.")
        self.timelines_active = gauge("timelines_active", "Timelines that are made now.")
        self.queue = gauge("queue", "Requests that no worker has taken yet.")
        self.active = gauge("requests_active", "Requests that wait or are worked on.")
        self.streams = gauge("streams", "WebSocket sessions that are open.")
        self.hops = histogram(
            "hop_seconds", "Seconds from the last sample of a stretch to its result."
        )
        self.dropped = counter(
            "dropped_audio_seconds", "Audio whose partial results a lagging server left out."
        )
        self.version = gauge("model_version", "1 for the version that serves.", "version", "bundle")
        self.swaps = counter("swaps", "Changes of the model, by outcome.", "outcome")
        self.registry_up = gauge("registry_up", "Whether the registry answered at the last look.")
        self.drift = gauge(
            "drift_ratio",
            "How far recent answers lie from training speech, as a share of the limit: above 1 is "
            "drift.",
            "slice",
            "figure",
        )
        self.drift_at = gauge("drift_looked_at_seconds", "Unix time of the last look at drift.")
        self.traffic_dropped = gauge(
            "traffic_rows_dropped", "Rows of the traffic log that could not be written."
        )

    def looked(self, document: Mapping[str, Any], bundle_sha256: str) -> None:
        """Show a look of `ser.watch`, where it is one at the model that serves."""
        self.drift.clear()
        if document.get("bundle_sha256") != bundle_sha256:
            return
        self.drift_at.set(datetime.fromisoformat(document["at"]).timestamp())
        for one in document["slices"]:
            for finding in one["findings"]:
                if finding["limit"]:
                    self.drift.labels(one["name"], finding["figure"]).set(finding["over"])

    def serves(self, version: int | None, bundle_sha256: str) -> None:
        self.version.clear()
        self.version.labels(str(version or "none"), bundle_sha256[:12]).set(1)

    def text(self) -> bytes:
        return generate_latest(self.registry)
