"""The torch engine, which runs the network itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.nn.layers import EncoderState
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.serving.engines.base import Array, Engine
from recbole_longinterest.serving.model_folder import Served


class TorchEngine(Engine):
    """Engine that uses the network's own layers; it needs no files.

    Args:
        network: network in evaluation mode, without gradients.
        items: vectors of all items, [N, D].
    """

    def __init__(self, network: InterestNetwork, items: Tensor) -> None:
        self._network, self._items = network, items
        with torch.no_grad():
            interest = torch.zeros(1, items.shape[1])
            self._compared = network.comparable(interest, items)[1]
        self._plain = self._compared is items  # then interest vectors stay as they are, too

    @classmethod
    def write(cls, network: InterestNetwork, folder: Path, int8: bool = False) -> None:
        """Write nothing: every export has the weights."""

    @classmethod
    def load(cls, served: Served, network: InterestNetwork, items: Tensor) -> "TorchEngine":
        """See :meth:`Engine.load`."""
        return cls(network, items)

    def step(
        self, items: NDArray[np.int64], values: Mapping[str, NDArray[Any]], state: Sequence[Array]
    ) -> tuple[Array, Sequence[Array]]:
        """See :meth:`Engine.step`."""
        with torch.inference_mode():
            sides = {name: torch.from_numpy(value).unsqueeze(1) for name, value in values.items()}
            levels = self._network.levels_of(sides)
            carried = EncoderState(*map(torch.as_tensor, state))
            return self._network.extend(torch.from_numpy(items).unsqueeze(1), levels, self._items, carried)

    def scores_of(self, interest: Tensor) -> Tensor:
        """See :meth:`Engine.scores_of`."""
        if self._plain:
            return interest @ self._compared.T
        with torch.no_grad():
            return self._network.comparable(interest, self._items[:1])[0] @ self._compared.T
