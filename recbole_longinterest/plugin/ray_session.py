"""Start Ray without log output or usage reports, by default on this machine only."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.ray_loopback import loopback_only

# Set before Ray starts: no usage reports, no second progress table, no change of working directory. The files of an
# epoch count as saved after half a second instead of two, and a task that is killed for memory is not retried forever.
for _name, _value in (
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("RAY_AIR_NEW_OUTPUT", "0"),
    ("RAY_CHDIR_TO_TRIAL_DIR", "0"),
    ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1"),
    ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"),
    ("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5"),
    ("RAY_task_oom_retries", "1"),
):
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402


@contextlib.contextmanager
def ray_session(address: str | None, show_logs: bool = False) -> Iterator[None]:
    """Run Ray inside this context. If the process already has a Ray, it is used and left running.

    Args:
        address: a cluster, such as ``auto`` or ``host:port``; None starts a local Ray without dashboard, which listens
            on 127.0.0.1 only.
        show_logs: show the workers' output on the terminal.

    Raises:
        ValueError: if there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    local = {"include_dashboard": False} if address is None else {}
    reach = loopback_only() if address is None else contextlib.nullcontext()
    for name in ("ray", "ray.train", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        stop = signal.getsignal(signal.SIGTERM)
        with reach:
            ray.init(address=address or "local", log_to_driver=show_logs, logging_level=logging.ERROR, **local)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop)  # Ray's own handler would end the process at once
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise LongInterestError(
            f"Ray is not available at {address or 'this machine'}: {' '.join(str(error).split())}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
