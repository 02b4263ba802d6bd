"""Save and restore the state of a training run that RecBole's checkpoint does not contain.

RecBole saves weights and one optimizer. To resume bit for bit, a run also needs the random states, the loaders'
generators, further optimizers (RecVAE has two) and attributes of the model outside its state dict (MultiVAE's annealing
step, KGAT's attention matrix, NCL's clusters).
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
    """Restore the state of :func:`random_state`; states of GPUs that this machine does not have are ignored."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available():
        for device, generator in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
            torch.cuda.set_rng_state(generator.cpu(), device)


def loader_state(*loaders: AbstractDataLoader) -> list[Tensor]:
    """States of the generators with which loaders shuffle and seed their workers."""
    return [generator.get_state() for generator in _generators(loaders)]


def restore_loader_state(states: list[Tensor], *loaders: AbstractDataLoader) -> None:
    """Restore the states of :func:`loader_state`."""
    for generator, state in zip(_generators(loaders), states, strict=True):
        generator.set_state(state.cpu())


def _generators(loaders: tuple[AbstractDataLoader, ...]) -> Iterator[torch.Generator]:
    for loader in filter(None, loaders):
        # A knowledge-based loader is not an AbstractDataLoader, but holds two.
        for part in [loader, *vars(loader).values()]:
            if isinstance(part, AbstractDataLoader):
                yield part.generator


def other_optimizers(trainer: "Trainer") -> dict[str, Optimizer]:
    """Optimizers of a trainer by attribute, without the one that RecBole saves."""
    return {
        name: value for name, value in vars(trainer).items() if isinstance(value, Optimizer) and name != "optimizer"
    }


def optimizer_in_use(trainer: "Trainer") -> str | None:
    """Name of the one of :func:`other_optimizers` that ``trainer.optimizer`` currently is, if any."""
    return next((name for name, value in other_optimizers(trainer).items() if value is trainer.optimizer), None)


def model_attributes(model: nn.Module) -> Attributes:
    """Plain attributes of a model and its layers that are not in its state dict or ``other_parameter``.

    Returns:
        ``<layer>.<attribute>`` -> value, and for a tensor the number of its in-place changes.
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
    """Attributes that have changed since ``before``; in-place changes of numpy arrays are not detected."""
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
    """Restore the attributes of :func:`changed_attributes` in a model of the same class.

    Raises:
        AttributeError: if the model does not have an attribute.
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
    """The state of a trainer after an epoch for RecBole's checkpoint, with a hash of the vocabulary."""
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
