"""Compute interest vectors, item scores and best items from histories, with a served model."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from logging import getLogger
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.tokens import token_of
from recbole_longinterest.nn.layers import EncoderState
from recbole_longinterest.nn.memory import EVENTS
from recbole_longinterest.nn.request import request_gaps
from recbole_longinterest.serving.behaviors import Behaviors
from recbole_longinterest.serving.engines import Engine, TorchEngine, check_agreement
from recbole_longinterest.serving.events import EventReader, History
from recbole_longinterest.serving.lift import items_with_vector, used_lift
from recbole_longinterest.serving.model_folder import Served
from recbole_longinterest.serving.results import NONE_KNOWN, Explanation, Recommended, shortened
from recbole_longinterest.serving.training_times import training_times

CHUNK = 4096  # events of a long history encoded at once
POSITIONS = 2**20  # maximum padded positions of a batch
BLOCK = 32  # items per block in top_k
FEW = 100_000  # up to this many scores, top_k compares all of them, which takes fewer operations
SCORES = 2**24  # maximum scores in memory, 64 MB
LONG = 2**15  # longer histories are encoded in chunks, to bound memory


class Scorer:
    """A served model that works with internal ids; ``Recommender`` adds raw tokens and tables.

    Args:
        served: content of an exported folder.
        engine: engine class for state updates and scores.

    Attributes:
        served: content of the folder.
        network: the network, in evaluation mode.
        items: vectors of all items, [N, D].
        engine: the engine.
        sides: names of the event sources that the network reads.
        reader: converts raw events to the network's input.
        keeps_behaviors: whether states store the behaviours of seen items; only with target behaviours.
        lift: constant added to the scores of the ``lifted`` items.
        lifted: internal ids of the new items; empty without a lift.
    """

    def __init__(self, served: Served, engine: type[Engine] = TorchEngine) -> None:
        self._serve(served, engine)

    def _serve(self, served: Served, engine: type[Engine]) -> None:
        self.served = served
        self.network = served.network()
        self.sides = tuple(self.network.fusion.levels)
        sources = self.network.fusion.sources
        behavior = next((spec.settings for spec in served.sources if spec.name == "behavior"), None)
        behaviors = Behaviors.of_export(served.about, behavior)
        self.reader = EventReader(served.items.tokens, sources, training_times(served.about), behaviors)
        self.keeps_behaviors = bool(behaviors.targets)
        self._popular: NDArray[np.int64] | None = None
        self.lift = used_lift(served.about)
        new = items_with_vector(served.weights, trained=False)
        self.lifted = new if self.lift else new[:0]
        with torch.no_grad():
            self.items = self.network.item_vectors()
            repeat = self.network.repeat_logit()
            self._repeat = None if repeat is None else float(repeat)
        self.engine = engine.load(served, self.network, self.items)
        if engine.files:
            check_agreement(self.engine, self.network, self.items, served)

    @property
    def fingerprint(self) -> str:
        """Hash of the model, by which states of other models are rejected."""
        return self.served.fingerprint

    @property
    def n_items(self) -> int:
        """Number of items that can be recommended."""
        return len(self.served.items.tokens) - 1

    @property
    def scored_at_once(self) -> int:
        """Maximum number of users scored at once."""
        return max(1, SCORES // (self.n_items + 1))

    def item_id(self, token: object) -> int:
        """Return the internal id of an item; 0 for an unknown item."""
        return self.reader.item_id.get(token_of(token, self.reader.item_id), 0)

    def candidate_ids(self, candidates: Iterable[object]) -> Tensor:
        """Return the internal ids of candidates, in ascending order, int64 [n]; unknown items are logged.

        Raises:
            LongInterestError: for a value that is not a list of tokens, or if no candidate is known.
        """
        if isinstance(candidates, (str, bytes)) or not isinstance(candidates, Iterable):
            raise LongInterestError(f"candidates must be a list of item tokens; got {candidates!r}.")
        tokens = list(candidates)
        ids = sorted({self.item_id(token) for token in tokens} - {0})
        if not ids:
            raise LongInterestError(f"The model knows none of the {len(tokens)} candidates.")
        skipped = [str(token) for token in tokens if not self.item_id(token)]
        if skipped:
            getLogger().warning(f"{len(skipped)} candidates are unknown and skipped: {shortened(skipped)}")
        return torch.tensor(ids)

    def excluded_ids(self, exclude: Iterable[object]) -> list[int]:
        """Return the internal ids of items to exclude; unknown items are ignored.

        Raises:
            LongInterestError: for a value that is not a list of tokens.
        """
        if isinstance(exclude, (str, bytes)) or not isinstance(exclude, Iterable):
            raise LongInterestError(f"exclude must be a list of item tokens; got {exclude!r}.")
        return sorted({self.item_id(token) for token in exclude} - {0})

    @torch.no_grad()
    def interest(self, histories: Sequence[History]) -> Tensor:
        """Compute the interest vectors of non-empty histories at their request time (``at``), [B, D]."""
        out = torch.zeros(len(histories), self.items.shape[1])
        read = [self.window(history) for history in histories]
        order = sorted(range(len(read)), key=lambda row: len(read[row][0]))
        while order and len(read[order[-1]][0]) > LONG:
            row = order.pop()
            out[row] = self._encode_in_chunks(*read[row])
        while order:  # in groups of similar length, so that a long history does not pad all others
            rows = order[-max(1, POSITIONS // len(read[order[-1]][0])) :]
            del order[-len(rows) :]
            item_seq = _padded([read[row][0] for row in rows])
            levels = {name: _padded([read[row][1][name] for row in rows]) for name in self.sides}
            length = torch.tensor([len(read[row][0]) for row in rows])
            out[rows] = self._interest_after(item_seq, length, levels)
        return self.at_request(out, [history.time[-1] for history in histories], [each.at for each in histories])

    def at_request(self, interest: Tensor, last: Sequence[float], request: Sequence[float]) -> Tensor:
        """Adjust interest vectors to the request times, [B, D]; no change for a model without ``request_time``.

        Args:
            interest: interest after the last event of each user, [B, D].
            last: times of these events in the training's unit, NaN if missing, [B].
            request: times of the requests, NaN if unknown, [B].
        """
        if self.network.request is None:
            return interest
        gaps = request_gaps(*(torch.tensor(times, dtype=torch.float64) for times in (last, request)))
        return self.network.at_request(interest, gaps)

    def windowed(self, history: History) -> History:
        """Return the events that the model reads: the last ones for a model with a history limit, else all."""
        limit = self.served.history_limit
        return history if limit is None else history.last(limit)

    def window(self, history: History) -> tuple[Tensor, dict[str, Tensor]]:
        """Return item ids and level ids of the events that the model reads, [L] each."""
        if not len(history):
            raise LongInterestError(f"Nothing can be recommended: the history is empty, or {NONE_KNOWN}.")
        history = self.windowed(history)
        return torch.from_numpy(history.item_seq), self.network.levels_of(history.values())

    def _interest_after(self, item_seq: Tensor, length: Tensor, levels: dict[str, Tensor]) -> Tensor:
        return self.network.interest_after(item_seq, length, levels, self.items)

    def _encode_in_chunks(self, item_seq: Tensor, levels: dict[str, Tensor]) -> Tensor:
        state, interest = self.network.interest_encoder.start(1), torch.empty(0)
        for begin in range(0, len(item_seq), CHUNK):
            part = slice(begin, begin + CHUNK)
            chosen = {name: value[None, part] for name, value in levels.items()}
            interest, state = self.network.extend(item_seq[None, part], chosen, self.items, state)
        return interest[0]

    def step(
        self, items: NDArray[np.int64], values: Mapping[str, NDArray[Any]], state: EncoderState
    ) -> tuple[Tensor, EncoderState]:
        """Update the states of the given users by one event each: :meth:`Engine.step`, with tensors for all engines."""
        interest, after = self.engine.step(items, values, state)
        return torch.as_tensor(interest), EncoderState(*map(torch.as_tensor, after))

    def recent(self, histories: Sequence[History]) -> Tensor:
        """Return the items of the last events of each history, for the memory of transitions, int64 [B, Q]."""
        out = torch.zeros(len(histories), EVENTS, dtype=torch.int64)
        for row, history in zip(out, histories, strict=True):
            last = self.windowed(history).item_seq[-EVENTS:][::-1]
            row[: len(last)] = torch.from_numpy(last.copy())
        return out

    def scores_of(self, interest: Tensor, seen: Sequence[Collection[int]] = (), recent: Tensor | None = None) -> Tensor:
        """Compute the scores of all items by internal id.

        Args:
            interest: interest vectors, [B, D].
            seen: internal ids of the items that each user has seen; with them the scores equal ``full_sort_predict``.
                Without them every item counts as unseen.
            recent: from :meth:`recent`, int64 [B, Q]; without it the memory of transitions is not used.

        Returns:
            Scores, [B, N].
        """
        scores = self.engine.scores_of(interest)
        if len(self.lifted):
            scores[:, self.lifted] += self.lift
        if self._repeat is not None:
            for row, ids in enumerate(seen):
                scores[row, as_tensor(ids)] += self._repeat
        if self.network.memory is None or recent is None:
            return scores
        if len(scores) > 1:
            return self.network.memory.add_to(scores, recent)
        self.network.memory.add_to_one(scores.numpy()[0], recent.numpy()[0])
        return scores

    def best(
        self,
        interest: Tensor,
        k: int,
        seen: Sequence[Collection[int]],
        allowed: Tensor | None = None,
        exclude_seen: bool = True,
        hidden: Sequence[Collection[int]] | None = None,
        recent: Tensor | None = None,
    ) -> list[list[tuple[int, float]]]:
        """Return the ``k`` best items by internal id, with their scores.

        Args:
            interest: interest vectors, [B, D].
            k: number of items, at least 1.
            seen: internal ids of the items that each user has seen.
            allowed: internal ids of the only items to rank; None for all.
            exclude_seen: exclude the seen items.
            hidden: internal ids to exclude for each user, instead of ``exclude_seen``.
            recent: see :meth:`scores_of`.
        """
        scores = self.scores_of(interest, () if exclude_seen and hidden is None else seen, recent)
        for row, had in enumerate(hidden if hidden is not None else seen if exclude_seen else ()):
            scores[row, as_tensor(had)] = -torch.inf
        ids = None
        if allowed is not None:
            scores, ids = scores[:, allowed], allowed
        values, places = top_k(scores, min(k + 1, scores.shape[1]))  # one more, for the padding
        if ids is not None:
            places = ids[places]
        return [
            [(item, score) for item, score in zip(row, values, strict=True) if item and score > -torch.inf][:k]
            for row, values in zip(places.tolist(), values.tolist(), strict=True)
        ]

    def popular(self, k: int, hidden: Collection[int] = (), allowed: Tensor | None = None) -> list[tuple[int, float]]:
        """Return the ``k`` items with the most recent events, by internal id, with their counts.

        Args:
            k: number of items, at least 1.
            hidden: internal ids to exclude.
            allowed: internal ids of the only items to rank; None for all.

        Returns:
            Best first; empty for an export without counts.
        """
        counts = self.served.items.recent
        if counts is None:
            return []
        if self._popular is None:  # ties in the training's order
            self._popular = np.argsort(-np.array(counts[1:]), kind="stable") + 1
        left_out = set(map(int, hidden))
        only = None if allowed is None else set(allowed.tolist())
        chosen = (i for i in self._popular.tolist() if i not in left_out and (only is None or i in only))
        return [(item, float(counts[item])) for item in islice(chosen, int(k))]

    def recommended(self, item: int, score: float, why: Explanation | None = None) -> Recommended:
        """Build a result from an internal id, with token and title."""
        return Recommended(self.served.items.tokens[item], self.served.items.titles[item], score, why)


def as_tensor(ids: Collection[int]) -> Tensor:
    """Convert internal ids to a tensor."""
    return torch.from_numpy(np.fromiter(ids, np.int64, len(ids)))


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the ``k`` highest scores of each row and their positions; like ``topk``, but faster.

    The ``k`` highest scores are in the ``k`` blocks with the highest maxima, so other blocks are not sorted.

    Args:
        scores: without NaN, [B, N].
        k: at most N.

    Returns:
        Values and positions, [B, k] each, highest first; ties are in any order.
    """
    if scores.device.type != "cpu":
        return scores.topk(k, dim=1)
    rows = scores.numpy()
    places = [_best_places(row, k) for row in rows]
    values = [row[best] for row, best in zip(rows, places, strict=True)]
    return torch.from_numpy(np.array(values)), torch.from_numpy(np.array(places))


def _best_places(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Positions of the ``k`` highest scores of one user, highest first, [k]."""
    blocks = len(scores) // BLOCK
    if blocks <= 2 * k:
        places = scores.argpartition(-k)[-k:]
    else:
        # Block b has the positions b, b + blocks, ...: then the maxima are taken along the memory.
        maxima = scores[: blocks * BLOCK].reshape(BLOCK, blocks).max(axis=0)
        ordered = maxima.copy()
        ordered.partition(blocks - k)
        least = ordered[-k]  # at least k scores are as high
        if len(scores) <= FEW:
            places = (scores >= least).nonzero()[0]
        else:
            chosen = (maxima >= least).nonzero()[0]
            places = (chosen + blocks * np.arange(BLOCK)[:, None]).ravel()
            places = np.concatenate([places, np.arange(blocks * BLOCK, len(scores))])
            places = places[scores[places] >= least]
    order: NDArray[np.int64] = places[(-scores[places]).argsort(kind="stable")[:k]]
    return order


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """Stack histories, padded with 0: [L] or [L, S] each to [B, L] or [B, L, S]."""
    if rows[0].dim() > 1:
        width = max(row.shape[1] for row in rows)
        rows = [torch.nn.functional.pad(row, (0, width - row.shape[1])) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def stacked(rows: Sequence[Any]) -> NDArray[Any]:
    """Stack the values of one event of each user, numbers or lists of ids, to [B] or [B, S], padded with 0."""
    if np.ndim(rows[0]) == 0:
        return np.array(rows)
    out = np.zeros((len(rows), max(map(len, rows))), dtype=rows[0].dtype)
    for row, values in zip(out, rows, strict=True):
        row[: len(values)] = values
    return out
