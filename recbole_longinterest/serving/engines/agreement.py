"""Check that an engine's files belong to the model beside them, by comparing a few scores and one step."""

import numpy as np
import torch
from torch import Tensor

from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.serving.engines.base import Array, Engine
from recbole_longinterest.serving.engines.torch import TorchEngine
from recbole_longinterest.serving.manifest import AGAIN, ExportError
from recbole_longinterest.serving.served import Served

USERS = 4
ROUNDING = 1e-3  # maximum difference in full precision, relative to the largest value
LIKENESS = 0.9  # minimum cosine in int8, because the engine may round differently


def check_agreement(engine: Engine, network: InterestNetwork, items: Tensor, served: Served) -> None:
    """Compare an engine with the network.

    Args:
        engine: engine loaded from files.
        network: network of the same model.
        items: vectors of all items, [N, D].
        served: the model.

    Raises:
        ExportError: if their results differ.
    """
    own = TorchEngine(network, items)
    ids = np.linspace(min(1, len(items) - 1), len(items) - 1, USERS).astype(np.int64)
    values = {name: source.read_all([None] * USERS) for name, source in network.fusion.sources.items()}
    state = network.interest_encoder.start(USERS)
    wanted, kept = own.step(ids, values, state)
    exact = served.precision == "fp32" and engine.exact
    try:
        interest, carried = engine.step(ids, values, state)
        pairs: list[tuple[str, Array, Array]] = [("one event", interest, wanted), ("its state", carried[0], kept[0])]
        with torch.no_grad():
            pairs += [("the scores", engine.scores_of(items[ids]), own.scores_of(items[ids]))]
    except Exception as error:  # engine-specific errors, for example if its files expect other inputs
        raise ExportError(f"{_files(engine, served)} cannot compute this model: {error}. {AGAIN}") from error
    for what, found, due in pairs:
        if not _alike(torch.as_tensor(found).float(), torch.as_tensor(due).float(), exact):
            raise ExportError(
                f"{_files(engine, served)} belong to another model than the weights beside them: {what} by "
                f"{type(engine).__name__} differs from the network's. {AGAIN}"
            )


def _files(engine: Engine, served: Served) -> str:
    return f"{' and '.join(engine.files)} in {served.folder}"


def _alike(found: Tensor, due: Tensor, exact: bool) -> bool:
    if found.shape != due.shape:
        return False
    if exact:
        return bool((found - due).abs().max() <= ROUNDING * max(1.0, float(due.abs().max())))
    if not float(due.norm()):
        return bool(found.isfinite().all())
    return bool(torch.cosine_similarity(found.flatten(), due.flatten(), dim=0) >= LIKENESS)
