"""Rate limits: a token bucket for each client."""

from time import monotonic


class RateLimit:
    """Token buckets: each client may send bursts of requests, up to an average rate.

    Args:
        rate: requests per second; 0 for no limit.
        burst: maximum number of requests at once.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._left: dict[str, tuple[float, float]] = {}  # client -> (tokens, time of the count)

    def wait(self, client: str) -> float:
        """Take a token from a client's bucket.

        Args:
            client: name of the client. Names come from the operator's file, so there are few.

        Returns:
            0 if a token was available, else the seconds until the next one.
        """
        if not self._rate:
            return 0.0
        now = monotonic()
        tokens, then = self._left.get(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        if tokens < 1:
            self._left[client] = (tokens, now)
            return (1 - tokens) / self._rate
        self._left[client] = (tokens - 1, now)
        return 0.0
