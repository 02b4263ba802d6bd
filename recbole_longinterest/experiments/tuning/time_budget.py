"""The time of a search: from its beginning, whatever it does, to the moment after which no trial goes on."""

import time

from ray.tune import Stopper


class TimeBudget(Stopper):
    """Stops all trials when the time is over, those before their first epoch too.

    Ray Tune's own budget begins when the first trial does, after the data sets are made.

    Args:
        seconds: from now; None is without end.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and time.monotonic() >= self._end

    def __call__(self, trial_id: str, result: object) -> bool:
        """No trial is stopped for its own results."""
        return False

    def stop_all(self) -> bool:
        """See :attr:`over`."""
        return self.over
