"""Provenance of a result (settings, versions, commit, inputs), and peak memory of a run."""

import contextlib
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from recbole.config import Config

from recbole_longinterest.experiments.comparison import data

PACKAGES = ("recbole-longinterest", "recbole", "torch", "numpy", "pandas", "transformers")


def manifest(config: Config) -> dict[str, Any]:
    """Describe the provenance of a result: settings, versions, commit, inputs."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "config": {name: config[name] for name in sorted(config.final_config_dict)},
        "versions": versions,
        "commit": commit(),
        "device": torch.cuda.get_device_name() if config["device"].type == "cuda" else platform.processor() or "cpu",
        "files": data.file_hashes(config),
    }


def commit() -> str | None:
    """Commit of the package's checkout, marked if there are changes; None without a checkout."""
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    found = git("rev-parse", "HEAD")
    tracked = git("ls-files", "--error-unmatch", Path(__file__).name)
    if not found or tracked is None:  # the package is installed inside another project's checkout
        return None
    return found + (" and changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def peak_memory_mb() -> float | None:
    """Peak memory of this process in MiB; None if the system does not report it."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage includes the parent's memory from before this process started
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
