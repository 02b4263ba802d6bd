"""Time budget of a search, counted from its start."""

import time

from ray.tune import Stopper


class TimeBudget(Stopper):
    """Stops all trials when the time is over, including those before their first epoch.

    Ray Tune's own budget starts with the first trial, after the data sets are made.

    Args:
        seconds: seconds from now; None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and time.monotonic() >= self._end

    def __call__(self, trial_id: str, result: object) -> bool:
        """False, because no trial is stopped for its own results."""
        return False

    def stop_all(self) -> bool:
        """See :attr:`over`."""
        return self.over
