"""Patches of RecBole's Weights & Biases logger: a run that goes on logs on where it stopped."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from recbole_longinterest.common import packages
from recbole_longinterest.common.known_places import is_known, remember
from recbole_longinterest.plugin.fixes.registry import patch

if TYPE_CHECKING:
    from recbole.config.configurator import Config
    from recbole.utils.wandblogger import WandbLogger

LOGGER = "recbole.utils.wandblogger:WandbLogger"

wandb_fix = functools.partial(patch, name="wandb_goes_on", kind="fix")


@wandb_fix(f"{LOGGER}.setup", why="It starts a new run of W&B after a resume.")
def setup(self: "WandbLogger") -> None:
    """Go on with the run of W&B that the checkpoint names, if there is one."""
    self.validations_before = 0
    if not self.log_wandb:
        return
    packages.require("wandb", "log_wandb: True")
    import wandb  # late: an extra

    self._wandb = wandb
    if wandb.run is None:
        known = _known_run(self.config)
        settings = {name: _readable(value) for name, value in self.config.final_config_dict.items()}
        again = {"id": known, "resume": "allow"} if known else {}
        wandb.init(project=self.config["wandb_project"], config=settings, **again)
        run: Any = wandb.run  # by now there is one
        remember("run of W&B", run.id)
    self._set_steps()


@wandb_fix(f"{LOGGER}.log_metrics", why="It counts validations from 0 after a resume.", wraps=True)
def log_metrics(original: Callable[..., None]) -> Callable[..., None]:
    """Count on from the validations before."""

    def log_metrics_on(self: "WandbLogger", metrics: dict[str, Any], head: str = "train", commit: bool = True) -> None:
        if "valid_step" in metrics:
            metrics = {**metrics, "valid_step": metrics["valid_step"] + self.validations_before}
        original(self, metrics, head, commit)

    return log_metrics_on


def _known_run(config: "Config") -> str | None:
    """W&B's name of the run that this one goes on with."""
    # Late: only a run that goes on reads a checkpoint.
    from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
    from recbole_longinterest.plugin.runs.files import wanted_file

    path = wanted_file(config)
    run = load_checkpoint(path).get("run", {}).get("logs", {}).get("wandb") if path else None
    return run if isinstance(run, str) and is_known("run of W&B", run) else None  # a file alone does not choose one


def _readable(value: object) -> object:
    return value if isinstance(value, (type(None), bool, int, float, str, list, dict)) else str(value)
