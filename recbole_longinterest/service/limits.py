"""Rates: a bucket of tokens for each client."""

from time import monotonic


class RateLimit:
    """Lets a client send a burst of requests, and so many a second over a while.

    Args:
        rate: a second; 0 for no limit.
        burst: at once.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._left: dict[str, tuple[float, float]] = {}  # tokens, and when they were counted

    def wait(self, client: str) -> float:
        """Take a token of a client.

        Args:
            client: its name. Names come from the operator's file, so there are few.

        Returns:
            0 if there was one, else seconds until there is.
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
