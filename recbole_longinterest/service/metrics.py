"""Metrics for Prometheus. Labels are routes, methods and statuses that the service names, never texts of clients."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
OTHER = "other"
PREFIX = "recbole_li"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
JOBS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


class Metrics:
    """The metrics of one service.

    Attributes:
        events: taken in, by outcome: ``accepted``, ``duplicate``, ``unknown_item``.
        answers: recommendations by what they are based on.
        items: recommended, by the strategy that brought them.
        feedback: on items, by strategy and outcome: ``shown``, ``clicked``.
        states: asked for, by where they came from: ``hit`` in memory, ``kept`` in the store, ``made`` from events.
        erased: users that were erased.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
        self.erased = counter("erased_users", "Users erased")

    def watch(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Add a number that is asked for when the metrics are."""
        Gauge(f"{PREFIX}_{name}", about, registry=self.registry).set_function(value)

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

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)
