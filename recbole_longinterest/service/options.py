"""Options of the service, set by the operator."""

from dataclasses import dataclass
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Limits and switches.

    Attributes:
        rules: rules file, see docs/strategies.md; None for no rules.
        keys: file of API keys; None for a service without keys, which is reachable only on loopback.
        rate: average requests per second for each key; 0 for no limit.
        burst: maximum number of requests of a key at once.
        max_body: maximum bytes of a request body.
        max_events: maximum events of a request.
        max_requests: maximum number of concurrent requests; more get status 503.
        timeout: seconds for a request, and for its body to arrive.
        states: maximum number of user states in memory.
        watch: automatically activate model versions that appear in the folder of models.
        log_users: write user ids to the log.
    """

    rules: Path | None = None
    keys: Path | None = None
    rate: float = 1000.0
    burst: int = 2000
    max_body: int = 2**20
    max_events: int = 1000
    max_requests: int = 1000
    timeout: float = 10.0
    states: int = 20_000
    watch: bool = False
    log_users: bool = False

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            LongInterestError: for the first number out of its range.
        """
        for name in ("burst", "max_body", "max_events", "max_requests", "states"):
            if getattr(self, name) < 1:
                raise LongInterestError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if not 0 <= self.rate < float("inf"):
            raise LongInterestError(f"rate must be 0 (no limit) or more; got {self.rate}.")
        if not 0 < self.timeout < float("inf"):
            raise LongInterestError(f"timeout must be above 0 seconds; got {self.timeout}.")
