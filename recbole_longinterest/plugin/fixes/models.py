"""Patches of single RecBole models: two run code from a setting or file, one fails at its first step."""

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
    why="The model passes its setting teacher to eval, so a checkpoint with this setting can run code.",
)
def teacher_network(teacher: str) -> type:
    """Look up a teacher network among the classes of RecBole's module.

    Args:
        teacher: name of the class.

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
    del networks["KD_DAGFM"]  # the student
    if teacher not in networks:
        raise LongInterestError(f"teacher must be one of {', '.join(networks)}; got {teacher!r}.")
    return networks[teacher]


@patch(
    "recbole.model.general_recommender.ldiffrec:LDiffRec.__init__",
    kind="safety",
    why="The model unpickles item_emb.npy in the data set's folder, which runs code in the file. A checkpoint may set "
    "the folder.",
    wraps=True,
)
def plain_embeddings(original: Callable[..., None]) -> Callable[..., None]:
    """Run RecBole's code with an ``np.load`` that reads only arrays of numbers; the model needs no others."""

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
    why="The model multiplies float32 states by float64 relation vectors, which raises an error.",
    wraps=True,
)
def relation_vectors(original: Callable[..., None]) -> Callable[..., None]:
    """Make the relation vectors float32."""

    def __init__(self: torch.nn.Module, config: Settings, dataset: object) -> None:
        original(self, config, dataset)
        self.relation_Matrix = self.relation_Matrix.float()

    return __init__
