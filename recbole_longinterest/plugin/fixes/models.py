"""What single models of RecBole need: two ran what a setting or a file says, one never ran at all."""

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.plugin.fixes.hooks import after_import, with_globals


def teacher_names() -> None:
    """``KD_DAGFM`` evaluates its setting ``teacher``, whatever it says (no upstream issue known).

    The setting may come from a checkpoint. It is looked up among the networks of RecBole's module instead.
    """

    def install(module: ModuleType) -> None:
        networks = {
            name: value
            for name, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, torch.nn.Module) and value.__module__ == module.__name__
        }
        del networks["KD_DAGFM"]  # the pupil

        def named(teacher: str) -> type:
            if teacher not in networks:
                raise LongInterestError(f"teacher must be one of {', '.join(networks)}; got {teacher!r}.")
            return networks[teacher]

        module.eval = named  # type: ignore[attr-defined]

    after_import("recbole.model.context_aware_recommender.kd_dagfm", install)


def plain_embeddings() -> None:
    """``LDiffRec`` unpickles ``item_emb.npy`` beside the data set (no upstream issue known).

    A checkpoint names the folder. An array of numbers, all that the model can use, needs no pickle.
    """

    def load(path: str, **_: Any) -> np.ndarray:  # noqa: ANN401
        try:
            return np.load(path)  # never with allow_pickle
        except ValueError as error:
            raise LongInterestError(
                f"{path} is not an array of numbers saved with numpy.save; write it again."
            ) from error

    def install(module: ModuleType) -> None:
        model = module.LDiffRec
        model.__init__ = with_globals(model.__init__, np=SimpleNamespace(load=load))

    after_import("recbole.model.general_recommender.ldiffrec", install)


def relation_vectors() -> None:
    """``KSR`` multiplies float32 states with float64 relation vectors, which is an error (no upstream issue known)."""

    def install(module: ModuleType) -> None:
        original = module.KSR.__init__

        def __init__(self: torch.nn.Module, config: Settings, dataset: Any) -> None:  # noqa: ANN401
            original(self, config, dataset)
            self.relation_Matrix = self.relation_Matrix.float()

        module.KSR.__init__ = __init__

    after_import("recbole.model.sequential_recommender.ksr", install)
