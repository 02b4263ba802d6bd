"""Interface of serving engines; ``tests/serving/engines/test_registry.py`` tests every registered engine."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.serving.model_folder import Served

Array: TypeAlias = Tensor | NDArray[Any]


class Engine(ABC):
    """Computes state updates and the scores of all items for one served model.

    All engines give the same results up to rounding, so a state can move from one engine to another. Histories are
    always encoded in batches by the network itself.

    Shapes: ``B`` users, ``D`` item dimension, ``N`` items including the padding.

    Attributes:
        can_grow: whether :meth:`load` works for a model in memory, without files. Only then can items be added to a
            loaded model.
        files: names of the files that :meth:`write` adds to an exported folder; a folder with all of them was exported
            for this engine.
        exact: whether results equal the network's up to rounding; False for an engine that quantizes.
    """

    can_grow: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = ()
    exact: bool = True

    @classmethod
    @abstractmethod
    def write(cls, network: InterestNetwork, folder: Path, int8: bool = False) -> None:
        """Write the engine's files into a folder during an export.

        Args:
            network: network in evaluation mode, without gradients.
            folder: an existing folder.
            int8: whether the export is in int8; an engine may still write its files in full precision.

        Raises:
            LongInterestError: for a missing package, or a network that the engine cannot compute.
        """

    @classmethod
    @abstractmethod
    def load(cls, served: Served, network: InterestNetwork, items: Tensor) -> "Engine":
        """Create the engine of a served model.

        Args:
            served: the model; ``served.folder`` is its folder, None for a model in memory.
            network: network of the model, in evaluation mode, without gradients.
            items: vectors of all items, [N, D].

        Raises:
            LongInterestError: for a missing package, or files that are missing or broken.
        """

    @abstractmethod
    def step(
        self, items: NDArray[np.int64], values: Mapping[str, NDArray[Any]], state: Sequence[Array]
    ) -> tuple[Array, Sequence[Array]]:
        """Update the states of the given users by one event each.

        Args:
            items: internal ids, [B].
            values: side values, [B] each; see :meth:`InterestNetwork.levels_of`.
            state: the parts of :class:`~recbole_longinterest.nn.layers.EncoderState` before the event, as tensors or
                arrays; must not be changed.

        Returns:
            Interest vectors, [B, D], and the parts of the state after the event, as tensors or arrays. The next step
            gets them back in the same type, because a conversion would take longer than the step.
        """

    @abstractmethod
    def scores_of(self, interest: Tensor) -> Tensor:
        """Compute the scores of all items, without the repeat bias of seen items.

        Args:
            interest: interest vectors, [B, D].

        Returns:
            Scores, [B, N], a new tensor that the caller may change.
        """
