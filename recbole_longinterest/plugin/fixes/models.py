"""Patches of single models of RecBole: two run what a setting or a file says, one fails at its first step."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.same_code import with_globals

KD_DAGFM = "recbole.model.context_aware_recommender.kd_dagfm"


@patch(
    f"{KD_DAGFM}:eval",
    name="teacher_names",
    kind="safety",
    source_of=f"{KD_DAGFM}:KD_DAGFM.__init__",
    why="The model evaluates its setting teacher, whatever it says; the setting may come from a checkpoint.",
)
def teacher_network(teacher: str) -> type:
    """The network that a text names, among those of RecBole's module.

    Args:
        teacher: name of its class.

    Returns:
        The class.

    Raises:
        LongInterestError: if there is no such network.
    """
    networks = {
        name: value
        for name, value in vars(sys.modules[KD_DAGFM]).items()
        if isinstance(value, type) and issubclass(value, torch.nn.Module) and value.__module__ == KD_DAGFM
    }
    del networks["KD_DAGFM"]  # the pupil
    if teacher not in networks:
        raise LongInterestError(f"teacher must be one of {', '.join(networks)}; got {teacher!r}.")
    return networks[teacher]


@patch(
    "recbole.model.general_recommender.ldiffrec:LDiffRec.__init__",
    kind="safety",
    why="It unpickles item_emb.npy beside the data set; a checkpoint names the folder.",
    wraps=True,
)
def plain_embeddings(original: Callable[..., None]) -> Callable[..., None]:
    """RecBole's code with another ``np.load``, which reads arrays of numbers only: all that the model can use."""

    def load(path: str, **_: object) -> np.ndarray:
        try:
            return np.load(path)  # never with allow_pickle
        except ValueError as error:
            raise LongInterestError(
                f"{path} is not an array of numbers saved with numpy.save; write it again."
            ) from error

    return with_globals(original, np=SimpleNamespace(load=load))


@patch(
    "recbole.model.sequential_recommender.ksr:KSR.__init__",
    kind="fix",
    why="The model multiplies float32 states with float64 relation vectors, which is an error.",
    wraps=True,
)
def relation_vectors(original: Callable[..., None]) -> Callable[..., None]:
    """Make the relation vectors float32."""

    def __init__(self: torch.nn.Module, config: Settings, dataset: object) -> None:
        original(self, config, dataset)
        self.relation_Matrix = self.relation_Matrix.float()

    return __init__
