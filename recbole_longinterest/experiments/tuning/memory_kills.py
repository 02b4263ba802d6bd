"""A worker that Ray kills for memory fails its trial, not the search."""

import contextlib
from collections.abc import Iterator

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError


class _KilledForMemory(RayActorError):
    """A worker killed by Ray's memory monitor, reported as the death of an actor."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message

    def __str__(self) -> str:
        return f"OutOfMemoryError: {self.message}"


@contextlib.contextmanager
def memory_kills_one_trial() -> Iterator[None]:
    """Make a worker that Ray kills for low memory fail only its own trial.

    Tune handles the death of an actor, but treats :class:`ray.exceptions.OutOfMemoryError` as unexpected and ends the
    whole search.
    """
    failed = RayActorManager._actor_task_failed

    def _actor_task_failed(self: RayActorManager, tracked_actor_task: object, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = _KilledForMemory(str(exception))
        failed(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = _actor_task_failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = failed
