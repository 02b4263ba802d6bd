"""The memory of transitions: counts of which items followed the items of a user's last events, over all histories.

Linear and nearest-neighbour recommenders capture rare item pairs better than a network of fixed size (SLIST, Choi et
al. 2021; TALE, Park et al. 2025). The counts are added to the scores of the trained network, as a neural language model
is mixed with an n-gram model. They are not used in training, because the network would then learn less itself
(docs/results/what-was-tried.md).

Shapes: ``B`` users, ``Q`` last events, ``N`` items with the padding, ``K`` followers per item.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recbole_longinterest.nn.state_keys import MEMORY, MEMORY_TABLES, TRAINED, item_key, item_sources_in
from recbole_longinterest.nn.transitions import BACKWARD, LAG_DECAY, LAGS, MANY, Transitions, lend

EVENTS = 10  # number of last events that are looked up
AGE_DECAY = 0.6  # factor of the weight for each event further back
UNIT = 0.003  # share of followers above which the score grows logarithmically
CACHED = 2**18  # number of scores changed at once on a CPU
PRIOR = 1.0  # added to an item's number of followers, so that a single event does not count as certainty


class TransitionMemory(nn.Module):
    r"""Scores ``w log(1 + m_j / UNIT)`` of the items ``j`` that followed the last items of a user.

    ``m_j = sum over the last events s of AGE_DECAY^age(s) counts[x_s, j] / (support[x_s] + PRIOR)``. The counts come
    from :func:`~recbole_longinterest.nn.transitions.count_transitions` on the training data; each item keeps its ``K``
    largest. A score reads ``Q K`` numbers for a history of any length, and the state of a user is the last ``Q`` items.

    Args:
        n_items: ``N``.
        size: ``K``.
        weight: ``w``.
        source: counts the transitions of the training data at first use; None if a checkpoint has the counts.

    Attributes:
        followers: int32 [N, K]; see :class:`~recbole_longinterest.nn.transitions.Transitions` for all four.
        counts: float32 [N, K].
        support: float32 [N].
        occurrences: int16 [N, K]; all 0 in a checkpoint of a version that did not count them.
    """

    followers: Tensor
    counts: Tensor
    support: Tensor
    occurrences: Tensor
    _weights: Tensor

    def __init__(
        self, n_items: int, size: int, weight: float, source: Callable[[int], Transitions] | None = None
    ) -> None:
        super().__init__()
        self.weight = weight
        self.register_buffer("followers", torch.zeros(n_items, size, dtype=torch.int32))
        self.register_buffer("counts", torch.zeros(n_items, size))
        self.register_buffer("support", torch.zeros(n_items))
        self.register_buffer("occurrences", torch.zeros(n_items, size, dtype=torch.int16))
        self.register_buffer("_weights", AGE_DECAY ** torch.arange(EVENTS), persistent=False)  # by age, [Q]
        self._source = source
        self._own = False  # whether the tables are private copies, which may be modified

    @property
    def size(self) -> int:
        """Followers per item, ``K``."""
        return self.followers.shape[1]

    def fill(self) -> None:
        """Count the transitions now, if the tables are still empty."""
        if self._source is None:
            return
        for name, table in tables_of(self._source(self.size)).items():
            setattr(self, name, table.to(self.counts.device))
        self._source = None

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        followers = state_dict.get(f"{prefix}followers")
        if followers is not None:  # older checkpoints and exports have no occurrences
            state_dict.setdefault(f"{prefix}occurrences", torch.zeros_like(followers, dtype=torch.int16))
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._source = None

    def add_to(self, scores: Tensor, recent: Tensor) -> Tensor:
        """Add the memory's scores to the network's, in place.

        Only the scores of followers change, which are few of the items. On a CPU a few rows are done at a time, so that
        their sums stay in the processor's cache.

        Args:
            scores: the network's scores of all items, [B, N]; without gradients.
            recent: from :func:`last_items`, int64 [B, Q].
        """
        at_once = max(1, (CACHED if scores.is_cpu else scores.numel()) // scores.shape[1])
        for some, rows in zip(scores.split(at_once), recent.split(at_once), strict=True):
            followers, shares = (part.flatten(1) for part in self._looked_up(rows))  # [b, Q K]
            total = shares.new_zeros(some.shape).scatter_add_(1, followers, shares).gather(1, followers)
            gain = total.div_(UNIT).log1p_().to(some)  # an item can be a follower several times, with the same score
            some.scatter_(1, followers, some.gather(1, followers).add_(gain, alpha=self.weight))
        return scores

    def add_to_one(self, scores: NDArray[np.float32], recent: NDArray[np.int64]) -> None:
        """Add the memory's scores to the network's for one user, in place; like :meth:`add_to`, in half the time.

        Only the scores of followers change, which are few of the items, and numpy has less overhead per operation.

        Args:
            scores: the network's scores of all items, [N].
            recent: from :func:`last_items`, int64 [Q].
        """
        self.fill()
        factor = self._weights.numpy()[: len(recent)] / (self.support.numpy()[recent] + PRIOR)  # [Q]
        shares = self.counts.numpy()[recent] * factor[:, None]
        followers = self.followers.numpy()[recent].ravel()  # an item can be here several times, with the same score
        total = np.zeros(len(scores), dtype=np.float32)
        np.add.at(total, followers, shares.ravel())
        scores[followers] += np.float32(self.weight) * np.log1p(total[followers] / np.float32(UNIT))

    def shares(self, recent: Tensor) -> Tensor:
        """``m`` of all items, [B, N].

        Args:
            recent: from :func:`last_items`, int64 [B, Q].
        """
        followers, shares = self._looked_up(recent)
        return shares.new_zeros(len(recent), len(self.support)).scatter_add_(1, followers.flatten(1), shares.flatten(1))

    def of_items(self, recent: Tensor, item: Tensor) -> Tensor:
        """Score of one item for each user, [B].

        Args:
            recent: from :func:`last_items`, int64 [B, Q].
            item: the item, int64 [B].
        """
        followers, shares = self._looked_up(recent)
        share = (shares * (followers == item.view(-1, 1, 1))).flatten(1).sum(dim=1)
        return self.weight * torch.log1p(share / UNIT)

    def of_events(self, recent: NDArray[np.int64], item: int) -> NDArray[np.float32]:
        """Contribution of each of a user's last events to ``m`` of one item, [Q].

        Args:
            recent: items of the last events, int64 [Q].
            item: internal id of the item.
        """
        followers, shares = self._looked_up(torch.as_tensor(recent).unsqueeze(0))
        given: NDArray[np.float32] = (shares * (followers == item))[0].sum(dim=-1).numpy()
        return given

    def occurrences_of(self, recent: NDArray[np.int64], item: int) -> list[int]:
        """Number of times that an item followed each of a user's last events' items in the training data, [Q].

        Args:
            recent: items of the last events, int64 [Q].
            item: internal id of the item.
        """
        self.fill()
        rows = torch.as_tensor(recent)
        found: list[int] = (self.occurrences[rows] * (self.followers[rows] == item)).sum(dim=-1).tolist()
        return found

    def observe(self, items: Sequence[int], new: int, wanted: Sequence[bool]) -> None:
        """Count new events of one user, like :func:`~recbole_longinterest.nn.transitions.count_transitions`.

        If an item already has ``K`` followers, a new one replaces the one with the smallest count. So a row adapts to
        new followers and forgets rare ones.

        Args:
            items: internal ids of the user's last events, oldest first.
            new: number of events at the end that have not been counted yet.
            wanted: which of the events may count as followers.
        """
        self.fill()
        if not self._own:  # the tables may be memory-mapped from a file that other processes read
            for name in MEMORY_TABLES:
                setattr(self, name, getattr(self, name).clone())
            self._own = True
        table = self.followers.numpy(), self.counts.numpy(), self.occurrences.numpy()
        support = self.support
        for now in range(len(items) - new, len(items)):
            for before in range(max(0, now - LAGS), now):
                decay = LAG_DECAY ** (now - before - 1)
                if before == now - 1 and wanted[now]:
                    support[items[before]] += 1
                if items[before] == items[now]:
                    continue
                if wanted[now]:
                    _add_count(*table, items[before], items[now], decay, 1)
                if wanted[before]:
                    _add_count(*table, items[now], items[before], BACKWARD * decay, 0)

    def _looked_up(self, recent: Tensor) -> tuple[Tensor, Tensor]:
        """Followers of the last items, and their contributions to ``m``, [B, Q, K] each."""
        self.fill()
        items, shape = recent.flatten(), (*recent.shape, self.size)
        factor = self._weights[: recent.shape[1]] / (
            self.support.index_select(0, items).view(recent.shape) + PRIOR
        )  # [B, Q]
        counts = self.counts.index_select(0, items).view(shape) * factor.unsqueeze(-1)
        return self.followers.index_select(0, items).view(shape).long(), counts


def _add_count(
    followers: NDArray[np.int32],
    counts: NDArray[np.float32],
    occurrences: NDArray[np.int16],
    item: int,
    follower: int,
    weight: float,
    times: int,
) -> None:
    """Add ``weight`` to the count of one pair; a new follower replaces the one with the smallest count."""
    found = np.flatnonzero(followers[item] == follower)
    place = int(found[0]) if len(found) else int(counts[item].argmin())
    if not len(found):
        followers[item, place], counts[item, place], occurrences[item, place] = follower, 0, 0
    counts[item, place] += weight
    occurrences[item, place] = min(int(occurrences[item, place]) + times, MANY)


def tables_of(transitions: Transitions) -> dict[str, Tensor]:
    """The tables of :class:`TransitionMemory` by name."""
    return {name: torch.from_numpy(getattr(transitions, name)) for name in MEMORY_TABLES}


def lend_to_new_items(state: dict[str, Tensor]) -> None:
    """Copy transitions of items with similar vectors to new items; see :func:`~.transitions.lend`.

    Args:
        state: state dict of a network; its tables are replaced. It does not change without a memory or item vectors.
    """
    names = [f"{MEMORY}{name}" for name in MEMORY_TABLES]
    sources = item_sources_in(state)
    if names[0] not in state or not sources:
        return
    followers, counts, support = (state[name].cpu().numpy() for name in names[:3])
    occurrences = state.get(names[3], torch.zeros(followers.shape, dtype=torch.int16)).cpu().numpy()
    present = torch.stack([state[item_key(source, "present")] for source in sources]).any(dim=0).cpu().numpy()
    without = (support == 0) & ~counts.any(axis=1)
    without[followers[counts > 0]] = False
    trained = state[TRAINED].cpu().numpy()
    new, known = (present & ~trained & without).nonzero()[0], (present & ~without).nonzero()[0]
    if not len(new) or not len(known):
        return
    vectors = torch.cat([state[item_key(source, "vectors")].float() for source in sources], dim=1).cpu().numpy()
    table = Transitions(followers.copy(), counts.copy(), support.copy(), occurrences.copy())
    lend(table, vectors, new, known)
    for name, values in tables_of(table).items():
        state[f"{MEMORY}{name}"] = values.to(state[names[0]].device)


def last_items(item_seq: Tensor, length: Tensor) -> Tensor:
    """Items of the last events of histories, latest first, filled up with 0, int64 [B, ``EVENTS``].

    Args:
        item_seq: item ids, padded at the end, int64 [B, L].
        length: number of events of each history, int64 [B].
    """
    place = length.unsqueeze(1) - 1 - torch.arange(EVENTS, device=length.device)
    return item_seq.gather(1, place.clamp(min=0)) * (place >= 0)
