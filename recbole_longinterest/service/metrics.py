"""Prometheus metrics. Labels have only values defined by the service, such as routes, never text from clients."""

import os
from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
OTHER = "other"
WORKERS = "PROMETHEUS_MULTIPROC_DIR"  # environment variable: folder of the workers' metrics; read on import
PREFIX = "recbole_li"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
JOBS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


class Metrics:
    """The metrics of one service.

    Attributes:
        events: received events by outcome: ``accepted``, ``duplicate``, ``unknown_item``.
        answers: recommendations by their basis.
        items: recommended items by strategy.
        feedback: items in feedback, by strategy and outcome: ``shown``, ``clicked``.
        states: requested user states by source: ``hit`` in memory, ``kept`` in the store, ``made`` from events.
        shadow: shadow requests by outcome: ``compared``, ``left_out``, ``failed``.
        overlap: overlap of the answers of model and shadow.
        erased: erased users.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        ProcessCollector(registry=self.registry)

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", about, labels, registry=self.registry)

        def histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"{PREFIX}_{name}", about, labels, buckets=buckets, registry=self.registry)

        self._requests = counter("requests", "Requests answered", "route", "method", "status")
        self._seconds = histogram("request_seconds", "Seconds until the answer began", SECONDS, "route")
        self._commits = histogram("commit_seconds", "Seconds of a commit", SECONDS)
        self._jobs = histogram("commit_jobs", "Jobs that shared a commit", JOBS)
        self.events = counter("events", "Events received", "outcome")
        self.answers = counter("recommendations", "Recommendations given", "basis")
        self.items = counter("recommended_items", "Items recommended", "strategy")
        self.feedback = counter("feedback_items", "Items in feedback", "strategy", "outcome")
        self.states = counter("states", "User states requested", "source")
        self.shadow = counter("shadow_requests", "Requests offered to the shadow", "outcome")
        self.overlap = histogram("shadow_overlap", "Share of an answer's items that the shadow also recommends", SHARES)
        self.erased = counter("erased_users", "Users erased")

    def watch(
        self, name: str, about: str, value: Callable[[], float], of_all: Literal["livesum", "livemax"] = "livesum"
    ) -> None:
        """Add a gauge whose value is read when the metrics are requested.

        Args:
            name: name of the metric.
            about: its description.
            value: returns the value.
            of_all: how the values of several workers are combined: sum or maximum.
        """
        gauge = Gauge(f"{PREFIX}_{name}", about, registry=self.registry, multiprocess_mode=of_all)
        self._watched.append((gauge, value))

    def refresh(self) -> None:
        """Update the gauges, so that other workers can read the new values."""
        for gauge, value in self._watched:
            gauge.set(value())

    def request(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: pattern of the route; None for an unknown path.
            method: HTTP method.
            status: HTTP status of the answer.
            seconds: time until the answer began.
        """
        route = route or OTHER
        self._requests.labels(route, method if method in METHODS else OTHER, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def commit(self, jobs: int, seconds: float) -> None:
        """Count a commit."""
        self._commits.observe(seconds)
        self._jobs.observe(jobs)

    def shadowed(self, outcome: str, overlap: float | None) -> None:
        """Count a request offered to the shadow."""
        self.shadow.labels(outcome).inc()
        if overlap is not None:
            self.overlap.observe(overlap)

    def text(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format."""
        self.refresh()
        if not os.environ.get(WORKERS):
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
