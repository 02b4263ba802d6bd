"""Order the ties: events of one user at the same time, in the order of the file or in random order.

Many published data sets are sorted, so that ties are in the order of item ids, and a model learns that the next item
has a larger id. The true order of ties is unknown. In random order, the rank of an event is a hash of its user, item,
time and ``tie_seed``. So the order is the same for every model, and does not depend on the other events or on the order
of the file.
"""

from collections.abc import Callable, Sequence
from logging import getLogger
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.orders import Index, stable_order
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.common.ties import Ties, count_ties, ranks_of_ids, ties_of
from recbole_longinterest.data.event_keys import FACTORS, Keys

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset

FILE, RANDOM = "file", "random"
MAX_SEED = 2**32


def read_tie_seed(config: Settings) -> int | None:
    """Read the seed of the random order of ties; None for the order of the file.

    Args:
        config: RecBole's config; configs of older versions have neither ``tie_order`` nor ``tie_seed``.

    Raises:
        LongInterestError: if ``tie_order`` or ``tie_seed`` is wrong.
    """
    order = FILE if config["tie_order"] is None else config["tie_order"]
    if order not in (FILE, RANDOM):
        raise LongInterestError(f"tie_order must be {FILE} or {RANDOM}; got {order!r}.")
    seed = 0 if config["tie_seed"] is None else config["tie_seed"]
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < MAX_SEED:
        raise LongInterestError(f"tie_seed must be a whole number from 0 to {MAX_SEED - 1}; got {seed!r}.")
    if order == FILE and seed:
        getLogger().warning(f"tie_seed: {seed} has no effect while tie_order is {FILE}. Set tie_order: {RANDOM}.")
    return seed if order == RANDOM else None


def shuffle_ties(
    order: Index, users: NDArray[np.integer], times: NDArray[np.floating], seed: int, keys_of: Callable[[Index], Keys]
) -> Index:
    """Put the events of a user at the same time in a random order.

    Args:
        order: row numbers, sorted by user and time, [n].
        users: user of each of these rows, [n].
        times: full-precision time of each of these rows, [n].
        seed: seed of the random order.
        keys_of: takes row numbers and returns their :func:`~recbole_longinterest.data.event_keys.event_keys`. A key
            includes the user; otherwise two items would be in the same order for all users, which a model could learn.

    Returns:
        Row numbers in the new order, [n]. Events with equal keys, which have the same item, keep their order.
    """
    with_before = ties_of(users, times)
    tied = with_before | np.append(with_before[1:], False)
    rows = order[tied]
    if not len(rows):
        return order
    moment = np.cumsum(~with_before)[tied]
    mixed = keys_of(rows) ^ (np.uint64(seed + 1) * FACTORS[3])
    mixed *= FACTORS[0]  # mix all bits, or another seed would change only a few bits of a rank
    mixed ^= mixed >> np.uint64(29)
    mixed *= FACTORS[1]
    shuffled = order.copy()
    shuffled[tied] = rows[stable_order(moment, mixed.view(np.int64))]
    return shuffled


def ties_of_log(dataset: "SequentialDataset", parts: Sequence["SequentialDataset"]) -> Ties:
    """Count the ties of a data set over the flat log, in the order that models read.

    Args:
        dataset: a :class:`~recbole_longinterest.data.flat_dataset.FlatSequentialDataset` that keeps its times.
        parts: its parts, from ``build``.
    """
    log = parts[0].inter_feat.interaction.log
    items = dataset.event_log[dataset.item_seq_field].numpy()
    ranks = np.append(-1, ranks_of_ids(dataset.field2id_token[dataset.iid_field][1:]))
    targets = [part.inter_feat.position.numpy() for part in parts[1:]]
    return count_ties(log[dataset.uid_field].numpy(), dataset.event_times(), ranks[items], *targets)
