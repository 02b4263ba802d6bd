"""What a serving engine has to do. ``tests/serving/engines/test_registry.py`` tests it for every registered engine."""

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
    """Computes the step of users' states, and the scores of all items, for one served model.

    All engines give the same numbers up to rounding, so a state may move from one engine to another. Histories are
    encoded in batches by the network itself, whatever the engine.

    Shapes: ``B`` users, ``D`` item dimension, ``N`` items with the padding.

    Attributes:
        can_grow: whether :meth:`load` works for a model in memory, without files of its own. Only then can items be
            added to a loaded model.
        files: names of the files that :meth:`write` adds to an exported folder; a folder with all of them was
            exported for this engine.
        exact: whether it gives the network's numbers up to rounding; False for one that quantizes.
    """

    can_grow: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = ()
    exact: bool = True

    @classmethod
    @abstractmethod
    def write(cls, network: InterestNetwork, folder: Path, int8: bool = False) -> None:
        """Write the engine's files into a folder that is being exported.

        Args:
            network: in evaluation mode, without gradients.
            folder: there already.
            int8: whether the export is in int8; an engine may write its files in full precision all the same.

        Raises:
            LongInterestError: for a missing package, or a network that the engine cannot compute.
        """

    @classmethod
    @abstractmethod
    def load(cls, served: Served, network: InterestNetwork, items: Tensor) -> "Engine":
        """Make the engine of a served model.

        Args:
            served: the model; ``served.folder`` is where it was read from, None for a model in memory.
            network: of the model, in evaluation mode, without gradients.
            items: vectors of all items, [N, D].

        Raises:
            LongInterestError: for a missing package, or files that are missing or broken.
        """

    @abstractmethod
    def step(
        self, items: NDArray[np.int64], values: Mapping[str, NDArray[Any]], state: Sequence[Array]
    ) -> tuple[Array, Sequence[Array]]:
        """Take in one event of each of some users.

        Args:
            items: internal ids, [B].
            values: side values, [B] each; see :meth:`InterestNetwork.levels_of`.
            state: the parts of :class:`~recbole_longinterest.nn.layers.EncoderState` before the event, as tensors or
                arrays; not to be changed.

        Returns:
            Interest vectors, [B, D], and the parts of the state after the event, as tensors or arrays. The engine gets
            its own kind back at the next step: one event is over before a conversion would be.
        """

    @abstractmethod
    def scores_of(self, interest: Tensor) -> Tensor:
        """Scores of all items for users who have had none of them.

        Args:
            interest: [B, D].

        Returns:
            [B, N], a new tensor that the caller may change.
        """
