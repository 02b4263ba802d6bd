"""Ray, as it is used here: quiet, local unless asked otherwise, and nothing reported to anyone."""

import contextlib
import logging
import os
from collections.abc import Iterator

# Before ray is imported: nothing is sent anywhere, no second table beside the progress bar, no change of folder.
for _name, _value in (
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("RAY_AIR_NEW_OUTPUT", "0"),
    ("RAY_CHDIR_TO_TRIAL_DIR", "0"),
    ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1"),
    ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"),
):
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402


@contextlib.contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """A Ray for the time of some work.

    Args:
        address: a cluster, as ``auto`` or ``host:port``; None starts a local Ray without dashboard. A Ray that the
            process has already is used and left.

    Raises:
        ValueError: if there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    local = {"include_dashboard": False} if address is None else {}
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ValueError(f"Ray cannot be had at {address or 'this machine'}: {' '.join(str(error).split())}") from error
    try:
        yield
    finally:
        ray.shutdown()
