"""Limit the memory that a model allocates when it is built from the settings of a checkpoint."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from recbole_longinterest.plugin.runs.checkpoints import CheckpointError

FREE_BYTES = 2**31  # allowed for any file: tables of the data, random numbers
GROWTH = 16  # allowed per byte of the file: weights, their initialisation, and tensors derived from the data
FACTORIES: set[Callable[..., Any]] = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}


class AllocationLimit(TorchFunctionMode):
    """Raise an error before the model allocates more memory than the size of its checkpoint justifies.

    Example:
        >>> with AllocationLimit("saved/GRU4Rec.pth"):
        ...     model = GRU4Rec(config, dataset)

    Args:
        path: path of the checkpoint.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = path
        self.limit = self.left = FREE_BYTES + GROWTH * Path(path).stat().st_size

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Count the bytes that a factory function allocates."""
        kwargs = kwargs or {}
        if func in FACTORIES:
            given = args or (kwargs.get("size", ()),)
            shape = given[0] if isinstance(given[0], (list, tuple)) else [n for n in given if isinstance(n, int)]
            dtype = kwargs.get("dtype") or torch.get_default_dtype()
            size = math.prod(map(int, shape)) * getattr(dtype, "itemsize", 8)  # Python's int and float have 8 bytes
            self.left -= size
            if self.left < 0:
                raise CheckpointError(
                    f"The settings in {self.path} ask for a tensor of shape {list(shape)}, {size:,} bytes, more than "
                    f"the file's size justifies ({self.limit:,} bytes in all). They belong to another checkpoint."
                )
        return func(*args, **kwargs)
