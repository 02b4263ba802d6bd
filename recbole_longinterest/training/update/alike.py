"""Find groups of similar users: users whose sets of new items overlap by half or more.

MinHash with banding (Broder 1997, "On the resemblance and containment of documents"): the smallest hashes of two sets
are equal with a probability equal to their Jaccard index ``|A & B| / |A | B|``. Each user gets ``BANDS * ROWS`` hashes.
Users that agree in all ``ROWS`` hashes of a band are compared by their full sets and linked if the index is at least
``ALIKE``. The groups are the connected components. Equal sets are always found, pairs with an index of 0.8 in 98 % of
cases, of 0.5 in 40 %.

Users with fewer than ``LEAST_ITEMS`` items are skipped: two events on popular items often agree by chance.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from recbole_longinterest.data.event_keys import token_keys

BANDS, ROWS = 8, 4
ALIKE = 0.5  # Jaccard index of two users' items
LEAST_ITEMS = 3  # minimum number of a user's items
LEAST_USERS = 3  # minimum size of a group
SEED = 20260


def find_alike(users: pd.Series, items: pd.Series) -> list[list[str]]:
    """Return groups of similar users, the largest first.

    Args:
        users: token of each event's user, [n].
        items: token of each event's item, [n].

    Returns:
        Users of each group, ordered by their first event.
    """
    user_codes, user_tokens = pd.factorize(users.astype(object))
    item_codes, item_tokens = pd.factorize(items.astype(object))
    pairs = np.unique(np.stack([user_codes, item_codes], axis=1), axis=0)
    size = np.bincount(pairs[:, 0], minlength=len(user_tokens))
    pairs = pairs[size[pairs[:, 0]] >= LEAST_ITEMS]
    if not len(pairs):
        return []
    begin = np.flatnonzero(np.concatenate([[True], np.diff(pairs[:, 0]) > 0]))
    who = pairs[begin, 0]
    sets = dict(zip(who.tolist(), map(frozenset, np.split(pairs[:, 1], begin[1:])), strict=True))
    links = _candidates(token_keys(item_tokens)[pairs[:, 1]], begin, who)
    links = links[[_jaccard(sets[one], sets[other]) >= ALIKE for one, other in links.tolist()]]
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(user_tokens),) * 2)
    _, group = connected_components(graph, directed=False)
    members = pd.Series(user_tokens).groupby(group).apply(list)
    large = [list(map(str, tokens)) for tokens in members if len(tokens) >= LEAST_USERS]
    return sorted(large, key=lambda tokens: -len(tokens))


def _candidates(keys: NDArray[np.uint64], begin: NDArray[np.int64], who: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return candidate pairs that agree in a band: each user with the first user of its bucket, [m, 2].

    Args:
        keys: hash of the item of each (user, item) pair, sorted by user, [n].
        begin: first pair of each user, [n_users].
        who: code of each user, [n_users].
    """
    factors = np.random.default_rng(SEED).integers(1, 2**63, (BANDS, ROWS), dtype=np.uint64) * 2 + 1
    found = []
    for band in factors:
        smallest = [np.minimum.reduceat(pd.util.hash_array(keys * factor), begin) for factor in band]
        mixed = np.zeros(len(who), dtype=np.uint64)
        for hashes in smallest:
            mixed = pd.util.hash_array(mixed + hashes)
        _, first, bucket = np.unique(mixed, return_index=True, return_inverse=True)
        leader = who[first[bucket.reshape(-1)]]
        found.append(np.stack([leader, who], axis=1)[leader != who])
    return np.unique(np.concatenate(found), axis=0)


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other)
