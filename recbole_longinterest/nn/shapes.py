"""Compare the tensor shapes of a file with its settings, before anything is allocated."""

from collections.abc import Mapping

from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.levels import TIME_GAP_LEVELS
from recbole_longinterest.nn.network import Sources
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.sources import EVENT_SOURCES
from recbole_longinterest.nn.state_keys import ID, MEMORY, QUERY, REQUEST, item_key, table_key


class ShapeError(LongInterestError):
    """Weights do not have the shapes that their settings require. The caller begins the sentence of the message."""


def check_shapes(options: ModelOptions, sources: Sources, weights: Mapping[str, Tensor]) -> None:
    """Check the tensors that determine the sizes of all others, up to 64 recurrent layers.

    Args:
        options: options of the network.
        sources: inputs of the network.
        weights: tensors of the file, by name.

    Raises:
        ShapeError: if a tensor is missing or has another shape; the message names the first one.
        KeyError: if a source's settings are broken, as when the network is built.
        TypeError: for the same reason.
    """
    size = options.embedding_size
    wanted: dict[str, tuple[int, ...]] = {QUERY: (size, options.hidden_size * (2 if options.attention else 1))}
    if sources.id:
        wanted[ID] = (sources.n_items, size)
    for name, width in sources.items.items():
        wanted[item_key(name, "vectors")] = (sources.n_items, width)
    for spec in sources.events:
        wanted[table_key(spec.name)] = (EVENT_SOURCES.get(spec.kind).count(spec.settings), size)
    if options.memory:
        table = (sources.n_items, options.memory_size)
        wanted |= {f"{MEMORY}followers": table, f"{MEMORY}counts": table, f"{MEMORY}support": table[:1]}
        if f"{MEMORY}occurrences" in weights:  # newer than the other tables
            wanted[f"{MEMORY}occurrences"] = table
    if options.request_time:
        levels = (TIME_GAP_LEVELS, size)
        wanted |= {f"{REQUEST}factor": levels, f"{REQUEST}shift": levels, f"{REQUEST}counts": levels[:1]}
    for name, shape in wanted.items():
        value = weights.get(name)
        if value is None:
            raise ShapeError(f"{name} is missing")
        if tuple(value.shape) != shape:
            raise ShapeError(
                f"size mismatch for {name}: its shape is {list(value.shape)}, and the settings ask for {list(shape)}"
            )
    if options.memory and not _are_items(weights[f"{MEMORY}followers"], sources.n_items):
        raise ShapeError(f"{MEMORY}followers names items that are not among the {sources.n_items}")


def _are_items(ids: Tensor, n_items: int) -> bool:
    """Whether a table holds only internal item ids."""
    whole = not ids.is_floating_point() and not ids.is_complex()
    return whole and (ids.numel() == 0 or (int(ids.min()) >= 0 and int(ids.max()) < n_items))
