"""Metrics for Prometheus. Labels are routes, methods and statuses that the service names, never texts of clients."""

import os
from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
OTHER = "other"
WORKERS = "PROMETHEUS_MULTIPROC_DIR"  # variable with the folder where workers keep their metrics; read at the import
PREFIX = "recbole_li"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
JOBS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


class Metrics:
    """The metrics of one service.

    Attributes:
        events: taken in, by outcome: ``accepted``, ``duplicate``, ``unknown_item``.
        answers: recommendations by what they are based on.
        items: recommended, by the strategy that brought them.
        feedback: on items, by strategy and outcome: ``shown``, ``clicked``.
        states: asked for, by where they came from: ``hit`` in memory, ``kept`` in the store, ``made`` from events.
        shadow: requests by outcome: ``compared``, ``left_out``, ``failed``.
        overlap: of the answers of model and shadow.
        erased: users that were erased.
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
        self.events = counter("events", "Events taken in", "outcome")
        self.answers = counter("recommendations", "Recommendations given", "basis")
        self.items = counter("recommended_items", "Items recommended", "strategy")
        self.feedback = counter("feedback_items", "Items of feedback", "strategy", "outcome")
        self.states = counter("states", "States asked for", "source")
        self.shadow = counter("shadow_requests", "Requests of the shadow", "outcome")
        self.overlap = histogram("shadow_overlap", "Share of an answer's items that the shadow has, too", SHARES)
        self.erased = counter("erased_users", "Users erased")

    def watch(
        self, name: str, about: str, value: Callable[[], float], of_all: Literal["livesum", "livemax"] = "livesum"
    ) -> None:
        """Add a number that is asked for when the metrics are.

        Args:
            name: of the metric.
            about: what it counts.
            value: gives it.
            of_all: what several workers have together: the sum, or the highest.
        """
        gauge = Gauge(f"{PREFIX}_{name}", about, registry=self.registry, multiprocess_mode=of_all)
        self._watched.append((gauge, value))

    def refresh(self) -> None:
        """Ask for the watched numbers; other workers read them from then on."""
        for gauge, value in self._watched:
            gauge.set(value())

    def request(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: its pattern; None for an address that the service does not have.
            method: of HTTP.
            status: of the answer.
            seconds: until the answer began.
        """
        route = route or OTHER
        self._requests.labels(route, method if method in METHODS else OTHER, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def commit(self, jobs: int, seconds: float) -> None:
        """Count a commit."""
        self._commits.observe(seconds)
        self._jobs.observe(jobs)

    def shadowed(self, outcome: str, overlap: float | None) -> None:
        """Count a request that the shadow has scored, or not."""
        self.shadow.labels(outcome).inc()
        if overlap is not None:
            self.overlap.observe(overlap)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format; of several workers, those of all."""
        self.refresh()
        if not os.environ.get(WORKERS):
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
