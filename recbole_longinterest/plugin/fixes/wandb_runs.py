"""Patches of RecBole's Weights & Biases logger: a resumed run continues its W&B run."""

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


@wandb_fix(f"{LOGGER}.setup", why="A resumed run starts a new W&B run.")
def setup(self: "WandbLogger") -> None:
    """Continue the W&B run that the checkpoint names, or start a new one."""
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
        run: Any = wandb.run  # not None after init
        remember("run of W&B", run.id)
    self._set_steps()


@wandb_fix(f"{LOGGER}.log_metrics", why="A resumed run counts its validations from 0 again.", wraps=True)
def log_metrics(original: Callable[..., None]) -> Callable[..., None]:
    """Continue the count of validations."""

    def log_metrics_on(self: "WandbLogger", metrics: dict[str, Any], head: str = "train", commit: bool = True) -> None:
        if "valid_step" in metrics:
            metrics = {**metrics, "valid_step": metrics["valid_step"] + self.validations_before}
        original(self, metrics, head, commit)

    return log_metrics_on


def _known_run(config: "Config") -> str | None:
    """W&B's id of the run to continue; None for a new run, or if this user never started that W&B run."""
    # Late: only a resumed run reads a checkpoint.
    from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
    from recbole_longinterest.plugin.runs.files import wanted_file

    path = wanted_file(config)
    run = load_checkpoint(path).get("run", {}).get("logs", {}).get("wandb") if path else None
    return run if isinstance(run, str) and is_known("run of W&B", run) else None  # a file must not choose the run


def _readable(value: object) -> object:
    return value if isinstance(value, (type(None), bool, int, float, str, list, dict)) else str(value)
