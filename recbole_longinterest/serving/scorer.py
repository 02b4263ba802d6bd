"""From histories to interest vectors and scores of all items, by a served model."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.layers import EncoderState
from recbole_longinterest.serving.events import EventReader, History, token_of
from recbole_longinterest.serving.model_folder import Served
from recbole_longinterest.serving.results import NONE_KNOWN

CHUNK = 4096  # events of a long history that are encoded at once
POSITIONS = 2**20  # padded positions of histories held at once
BLOCK = 64  # items whose highest score is looked at first
SCORES = 2**24  # scores held at once, 64 MB
LONG = 2**15  # events beyond which a history is encoded in chunks: what it takes does not grow with it


class Scorer:
    """A served model over histories and states, in internal ids; ``Recommender`` is one with people's words over it.

    Args:
        served: an exported folder's content.
        engine: what computes the steps of states and the scores: ``"torch"``, or ``"onnx"`` for a folder exported with
            ``--onnx``, several times as fast for one event.

    Attributes:
        served: the same.
        network: in evaluation mode.
        items: vectors of all items, [N, D].
        sides: side features that the network reads.
        reader: turns raw events into what the network reads.
    """

    def __init__(self, served: Served, engine: str = "torch") -> None:
        self._serve(served)
        if engine not in ("torch", "onnx"):
            raise LongInterestError(f"engine must be torch or onnx; got {engine!r}.")
        self._onnx = None
        if engine == "onnx":
            from recbole_longinterest.serving.engines.onnx import OnnxEngine

            self._onnx = OnnxEngine(served.folder or Path())

    def _serve(self, served: Served) -> None:
        self.served = served
        self.network = served.network()
        self.fingerprint = served.fingerprint
        self.sides = tuple(self.network.fusion.levels)
        self.reader = EventReader(
            served.items.tokens, served.behaviors, served.rating_range, served.about.get("behavior_map")
        )
        with torch.no_grad():
            self.items = self.network.item_vectors()
            interest = torch.zeros(1, self.items.shape[1])
            self._compared = self.network.comparable(interest, self.items)[1]
            repeat = self.network.repeat_logit()
            self._repeat = None if repeat is None else float(repeat)

    @property
    def n_items(self) -> int:
        """Items that can be recommended."""
        return len(self.served.items.tokens) - 1

    @property
    def scored_at_once(self) -> int:
        """Users whose scores of all items are held at once."""
        return max(1, SCORES // (self.n_items + 1))

    def item_id(self, token: Any) -> int:  # noqa: ANN401
        """Internal id of an item, 0 if the model does not know it."""
        return self.reader.item_id.get(token_of(token, self.reader.item_id), 0)

    @torch.no_grad()
    def interest(self, histories: Sequence[History]) -> Tensor:
        """Interest vectors after the last event of histories that have one, [B, D]."""
        out = torch.zeros(len(histories), self.items.shape[1])
        read = [self.window(history) for history in histories]
        order = sorted(range(len(read)), key=lambda row: len(read[row][0]))
        while order and len(read[order[-1]][0]) > LONG:
            row = order.pop()
            out[row] = self._encode_in_chunks(*read[row])
        while order:  # histories of like lengths together: one long one does not pad all others
            rows = order[-max(1, POSITIONS // len(read[order[-1]][0])) :]
            del order[-len(rows) :]
            item_seq = _padded([read[row][0] for row in rows])
            levels = {name: _padded([read[row][1][name] for row in rows]) for name in self.sides}
            length = torch.tensor([len(read[row][0]) for row in rows])
            out[rows] = self.network.interest_after(item_seq, length, levels, self.items)
        return out

    def windowed(self, history: History) -> History:
        """The events that the model reads, all unless it was trained with a window; what was before is forgotten."""
        limit = self.served.history_limit
        return history if limit is None else history.last(limit)

    def window(self, history: History) -> tuple[Tensor, dict[str, Tensor]]:
        """Item ids and level ids of the events that the model reads, [L] each."""
        if not len(history):
            raise LongInterestError(f"There is nothing to recommend from: the history is empty, or {NONE_KNOWN}.")
        history = self.windowed(history)
        return torch.from_numpy(history.item_seq), self.network.levels_of(history.values())

    def _encode_in_chunks(self, item_seq: Tensor, levels: dict[str, Tensor]) -> Tensor:
        state, interest = self.network.interest_encoder.start(1), torch.empty(0)
        for begin in range(0, len(item_seq), CHUNK):
            part = slice(begin, begin + CHUNK)
            chosen = {name: value[None, part] for name, value in levels.items()}
            interest, state = self.network.extend(item_seq[None, part], chosen, self.items, state)
        return interest[0]

    def step(
        self, items: NDArray[np.int64], values: dict[str, NDArray[Any]], state: EncoderState
    ) -> tuple[Tensor, EncoderState]:
        """Take one event of each of some users in.

        Args:
            items: internal ids, [B].
            values: side values, [B] each; see :meth:`InterestNetwork.levels_of`.
            state: of the users before the event.

        Returns:
            Interest vectors, [B, D], and the state after the event.
        """
        interest, after = self.raw_step(items, values, state)
        return torch.as_tensor(interest), EncoderState(*map(torch.as_tensor, after))

    def raw_step(self, items: NDArray[np.int64], values: dict[str, NDArray[Any]], state: Any) -> tuple[Any, Any]:  # noqa: ANN401
        """:meth:`step` in what the engine computes with, tensors or arrays: an event alone has no time to convert."""
        if self._onnx is not None:
            return self._onnx.step(items, values, state)
        with torch.inference_mode():
            sides = {name: torch.from_numpy(value).unsqueeze(1) for name, value in values.items()}
            item_seq = torch.from_numpy(items).unsqueeze(1)
            return self.network.extend(item_seq, self.network.levels_of(sides), self.items, EncoderState(*state))

    def scores_of(self, interest: Tensor, seen: Sequence[Collection[int]] = ()) -> Tensor:
        """Scores of all items by internal id.

        Args:
            interest: [B, D].
            seen: internal ids of the items that each user has had, which makes them the scores of
                ``full_sort_predict``; without, no item counts as had before.

        Returns:
            [B, N].
        """
        if self._onnx is not None:
            scores = self._onnx.scores_of(interest)
        else:
            with torch.no_grad():
                scores = self.network.comparable(interest, self.items[:1])[0] @ self._compared.T
        if self._repeat is not None:
            for row, ids in enumerate(seen):
                scores[row, as_tensor(ids)] += self._repeat
        return scores


def as_tensor(ids: Collection[int]) -> Tensor:
    """Internal ids as a tensor."""
    return torch.from_numpy(np.fromiter(ids, np.int64, len(ids)))


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` highest scores of each row, highest first, and where they stand; ``topk``, but faster for many items.

    They stand in the ``k`` blocks whose own highest scores are the highest, so the rest is never sorted.

    Args:
        scores: [B, N].
        k: at most N.

    Returns:
        Values and places, [B, k] each; among equal scores any may come first.
    """
    blocks = scores.shape[1] // BLOCK
    if blocks < 8 * k:
        return scores.topk(k, dim=1)
    begin = BLOCK * scores[:, : blocks * BLOCK].unflatten(1, (blocks, BLOCK)).amax(dim=2).topk(k, dim=1).indices
    places = (begin.unsqueeze(2) + torch.arange(BLOCK)).flatten(1)  # [B, k BLOCK]
    rest = torch.arange(blocks * BLOCK, scores.shape[1]).expand(len(scores), -1)
    places = torch.cat([places, rest], dim=1)
    values, which = scores.gather(1, places).topk(k, dim=1)
    return values, places.gather(1, which)


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
