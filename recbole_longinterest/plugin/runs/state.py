"""What a training run carries from one epoch to the next beside RecBole's checkpoint, as plain data and back.

RecBole keeps weights and one optimizer. A run that goes on bit for bit needs the random states, the loaders'
generators, further optimizers (RecVAE has two) and what a model counts or caches outside its state dict (MultiVAE's
annealing step, KGAT's attention matrix, NCL's clusters).
"""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from torch import Tensor, nn
from torch.optim import Optimizer

from recbole_longinterest.plugin.runs import token_tables
from recbole_longinterest.plugin.runs.checkpoints import other_parameter

if TYPE_CHECKING:
    from recbole.trainer.trainer import Trainer

PLAIN_ATTRIBUTES = (type(None), bool, int, float, str, Tensor, np.ndarray)
Attributes = dict[str, tuple[Any, int]]


def random_state() -> dict[str, Any]:
    """State of every global random generator of this process."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put the state of :func:`random_state` back; GPUs that this machine has not got are left out."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available():
        for device, generator in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
            torch.cuda.set_rng_state(generator.cpu(), device)


def loader_state(*loaders: AbstractDataLoader) -> list[Tensor]:
    """States of the generators by which loaders shuffle and seed their workers."""
    return [generator.get_state() for generator in _generators(loaders)]


def restore_loader_state(states: list[Tensor], *loaders: AbstractDataLoader) -> None:
    """Put the states of :func:`loader_state` back."""
    for generator, state in zip(_generators(loaders), states, strict=True):
        generator.set_state(state.cpu())


def _generators(loaders: tuple[AbstractDataLoader, ...]) -> Iterator[torch.Generator]:
    for loader in filter(None, loaders):
        # A knowledge based loader is no loader itself and holds two.
        for part in [loader, *vars(loader).values()]:
            if isinstance(part, AbstractDataLoader):
                yield part.generator


def other_optimizers(trainer: "Trainer") -> dict[str, Optimizer]:
    """Attribute -> optimizer, without the one that RecBole stores."""
    return {
        name: value for name, value in vars(trainer).items() if isinstance(value, Optimizer) and name != "optimizer"
    }


def optimizer_in_use(trainer: "Trainer") -> str | None:
    """Which of :func:`other_optimizers` RecBole's ``optimizer`` is at the moment, if any."""
    return next((name for name, value in other_optimizers(trainer).items() if value is trainer.optimizer), None)


def model_attributes(model: nn.Module) -> Attributes:
    """Plain attributes of a model and its layers that its state dict and ``other_parameter`` leave out.

    Returns:
        ``<layer>.<attribute>`` -> value and, of a tensor, how often it was changed in place.
    """
    declared = set(getattr(model, "other_parameter_name", None) or ())
    found: Attributes = {}
    for prefix, module in model.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_") or name == "training" or (not prefix and name in declared):
                continue
            if isinstance(value, PLAIN_ATTRIBUTES):
                found[f"{prefix}.{name}"] = value, value._version if isinstance(value, Tensor) else 0
    return found


def changed_attributes(model: nn.Module, before: Attributes) -> dict[str, Any]:
    """The attributes that are no longer as they were; an array that was changed in place is not noticed."""
    changed = {}
    for name, (value, version) in model_attributes(model).items():
        old, old_version = before.get(name, (None, -1))
        if isinstance(value, (Tensor, np.ndarray)) or isinstance(old, (Tensor, np.ndarray)):
            same = value is old and version == old_version
        else:
            same = type(value) is type(old) and value == old and old_version == 0
        if not same:
            changed[name] = value
    return changed


def restore_attributes(model: nn.Module, attributes: dict[str, Any]) -> None:
    """Put what :func:`changed_attributes` found into a model of the same class.

    Raises:
        AttributeError: for an attribute that the model has not got.
    """
    for name, value in attributes.items():
        prefix, _, attribute = name.rpartition(".")
        layer = model.get_submodule(prefix)
        if attribute not in vars(layer):
            raise AttributeError(f"{type(layer).__name__} has no attribute {attribute}")
        here = vars(layer)[attribute]
        setattr(
            layer, attribute, value.to(here.device) if isinstance(value, Tensor) and isinstance(here, Tensor) else value
        )


def trainer_state(trainer: "Trainer", epoch: int) -> dict[str, Any]:
    """What RecBole keeps of a trainer after this epoch."""
    return {
        "config": trainer.config,
        "epoch": epoch,
        "cur_step": trainer.cur_step,
        "best_valid_score": trainer.best_valid_score,
        "state_dict": trainer.model.state_dict(),
        token_tables.STATE: getattr(trainer, "vocabulary", None),
        "other_parameter": other_parameter(trainer.model),
        "optimizer": trainer.optimizer.state_dict(),
    }
