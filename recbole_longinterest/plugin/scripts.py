"""Run RecBole's own scripts unmodified, with the plugin loaded in all of their processes and Ray workers."""

import functools
import multiprocessing.spawn
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from logging import getLogger
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from recbole_longinterest.common.written_values import read_choices
from recbole_longinterest.plugin.fixes.hooks import when_imported
from recbole_longinterest.plugin.ray_loopback import loopback_only

SETUP_HOOK = f"{__name__}.plugin_in_spawned"


def run_script(script: str, arguments: Sequence[str]) -> None:
    """Run a script like ``python SCRIPT ARGUMENTS``, with the plugin loaded in all of its processes.

    Args:
        script: path of the script.
        arguments: its command line.

    Raises:
        FileNotFoundError: if the script does not exist.
    """
    path = Path(script)
    if not path.is_file():
        raise FileNotFoundError(f"There is no script {script}.")
    plugin_in_spawned()
    when_imported("ray", _ray_workers)
    when_imported("ray.tune", _adapt_tune)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(path.resolve().parent))
    source = path.read_text(encoding="utf-8", errors="replace")
    # RecBole's run_hyper.py calls eval on the choices of its params_file; replace that by safe parsing.
    names = {"eval": read_choices} if "params_file" in source and "eval(" in source else {}
    runpy.run_path(script, init_globals=names, run_name="__main__")


def plugin_in_spawned() -> None:
    """Make every process that multiprocessing spawns import the plugin before the main module.

    A spawned process first unpickles data that refer to this function. So it imports this package, and calls this
    function for its own child processes.
    """
    original = multiprocessing.spawn.get_preparation_data
    if getattr(original, "carries_plugin", False):
        return

    @functools.wraps(original)
    def get_preparation_data(name: str) -> dict[str, Any]:
        return {**original(name), "recbole_longinterest": _Carrier()}

    get_preparation_data.carries_plugin = True  # type: ignore[attr-defined]
    multiprocessing.spawn.get_preparation_data = get_preparation_data


class _Carrier:
    """Calls :func:`plugin_in_spawned` when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return plugin_in_spawned, ()


def _ray_workers(ray: ModuleType) -> None:
    """Make ``ray.init`` start workers that load the plugin and stay in the script's folder, for its relative paths.

    A local Ray, without the address of a cluster, has no dashboard by default and listens on 127.0.0.1.
    """
    original = ray.init

    @functools.wraps(original)
    def init(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        environment = dict(kwargs.pop("runtime_env", None) or {})
        environment.setdefault("worker_process_setup_hook", SETUP_HOOK)
        environment["env_vars"] = {"RAY_CHDIR_TO_TRIAL_DIR": "0", **environment.get("env_vars", {})}
        address = (args[0] if args else kwargs.get("address")) or os.environ.get("RAY_ADDRESS")
        if address and address != "local":
            return original(*args, runtime_env=environment, **kwargs)
        kwargs.setdefault("include_dashboard", False)
        with loopback_only(agent=bool(kwargs["include_dashboard"])):
            return original(*args, runtime_env=environment, **kwargs)

    ray.init = init  # type: ignore[attr-defined]


def _adapt_tune(tune: ModuleType) -> None:
    """Adapt ``tune.run``: Ray 2.7 has removed ``local_dir``, and trials that ask for a missing GPU never start."""
    original = tune.run

    @functools.wraps(original)
    def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        local_dir = kwargs.pop("local_dir", None)
        if local_dir is not None:
            kwargs.setdefault("storage_path", str(Path(local_dir).expanduser().resolve()))
        resources = kwargs.get("resources_per_trial")
        if isinstance(resources, dict) and resources.get("gpu", 0) > _gpus():
            getLogger().warning(
                f"tune.run asks for {resources['gpu']} GPU per trial and there are {_gpus():g}: trials get {_gpus():g}."
            )
            kwargs["resources_per_trial"] = {"cpu": 1, **resources, "gpu": _gpus()}  # Ray needs some resource
        return original(*args, **kwargs)

    tune.run = run  # type: ignore[attr-defined]


def _gpus() -> float:
    """Number of GPUs for trials: the cluster's if Ray runs, else this machine's."""
    import ray

    return ray.cluster_resources().get("GPU", 0) if ray.is_initialized() else torch.cuda.device_count()
