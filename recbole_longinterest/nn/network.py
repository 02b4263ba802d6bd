"""LongInterest without RecBole: from item ids and event features to interest vectors, in batches or event by event.

Shapes as in :mod:`recbole_longinterest.nn.layers`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.dropout import Dropout
from recbole_longinterest.nn.layers import EncoderState, EventFusion, InterestEncoder
from recbole_longinterest.nn.memory import TransitionMemory, lend_to_new_items, tables_of
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.request import RequestTime
from recbole_longinterest.nn.sources import ItemSource, MatrixSource, SourceSpec
from recbole_longinterest.nn.state_keys import MEMORY, MEMORY_TABLES
from recbole_longinterest.nn.transitions import Transitions

EVAL_POSITIONS = 2**16  # positions encoded together at evaluation, with padding; bounds memory, results stay the same
TEMPERATURE = 0.07  # initial value of the learned temperature of cosine logits (CLIP, Radford et al. 2021)
REPEAT_PACE = 10.0  # step size of the repeat logit relative to other weights


@dataclass(frozen=True)
class Sources:
    """The inputs that a network is built for.

    Attributes:
        n_items: number of items with the padding.
        id: whether items have an ID embedding.
        items: width of each source of item vectors, by name.
        events: sources of event features.
        trained: which items have a trained ID embedding, bool [n_items]; None means all but the padding.
        gaps: number of training targets in each time-gap bucket, for ``request_time``.
    """

    n_items: int
    id: bool = True
    items: Mapping[str, int] = field(default_factory=dict)
    events: Sequence[SourceSpec] = ()
    trained: Tensor | None = None
    gaps: Tensor | None = None


class InterestNetwork(nn.Module):
    """The network without RecBole. Call :meth:`build` after the constructor.

    ``LongInterest`` adds RecBole's interface; a served model uses this class directly.
    """

    trained: Tensor

    def build(
        self,
        options: ModelOptions,
        sources: Sources,
        matrices: Mapping[str, MatrixSource] | None = None,
        transitions: Callable[[int], Transitions] | None = None,
    ) -> None:
        """Create the layers and initialise their weights.

        Args:
            options: sizes and kinds of the layers.
            sources: inputs of events and items.
            matrices: for each source, a function that makes the item vectors at first use; not called if a checkpoint
                has them.
            transitions: counts the transitions of the training data for a given number of followers per item, at first
                use; not used if a checkpoint has them.

        Raises:
            LongInterestError: if items have neither an ID embedding nor a source.
        """
        if not sources.id and not sources.items:
            raise LongInterestError(
                "An item needs at least one of id_features and text_features; both are off. Switch one of them on."
            )
        size, filled = options.embedding_size, matrices or {}
        self.id_embedding = nn.Embedding(sources.n_items, size, padding_idx=0) if sources.id else None
        self.id_dropout = options.id_dropout
        self.item_sources = nn.ModuleDict(
            {
                name: ItemSource(sources.n_items, width, size, filled.get(name), options.source_dropout)
                for name, width in sources.items.items()
            }
        )
        all_items = torch.arange(sources.n_items) > 0
        self.register_buffer("trained", all_items if sources.trained is None else sources.trained)  # [n_items]
        self.fusion = EventFusion(size, sources.events, options.fusion == "gated")
        self.interest_encoder = InterestEncoder(
            size,
            options.hidden_size,
            options.num_layers,
            options.rnn_type,
            options.attention_heads if options.attention else 0,
            options.hidden_dropout_prob,
            options.residual,
        )
        self.request = RequestTime(size, sources.gaps) if options.request_time else None
        self.dropout = Dropout(options.dropout_prob)
        cosine = options.logits == "cosine"
        self.log_scale = nn.Parameter(torch.tensor(1 / TEMPERATURE).log()) if cosine else None
        self.repeat_bias = nn.Parameter(torch.zeros(())) if options.repeat_bias else None
        self.memory = (
            TransitionMemory(
                sources.n_items,
                options.memory_size,
                options.memory_weight,
                None if transitions is None else lambda size: self.with_lent(transitions(size)),
            )
            if options.memory
            else None
        )
        self._init_item_weights(options.initializer_range)

    def _init_item_weights(self, scale: float) -> None:
        """Initialise item embeddings and projections with a small scale that does not depend on the catalogue's size.

        Event features start at zero, so that at first only the item counts. Other layers keep torch's defaults.
        """
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=scale)
                if module.padding_idx is not None:
                    nn.init.zeros_(module.weight[module.padding_idx])
        for weight in self.fusion.levels.parameters():
            nn.init.zeros_(weight)
        for source in self.sources.values():
            nn.init.normal_(source.project.weight, std=scale)

    def prepare(self) -> None:
        """Make the item vectors and count the transitions now, not at the first batch. A reloaded model has both."""
        for source in self.sources.values():
            source.fill()
        if self.memory is not None:
            self.memory.fill()

    def with_lent(self, table: Transitions) -> Transitions:
        """Add transitions of items with similar vectors for the items without training events."""
        for source in self.sources.values():
            source.fill()
        state = {**self.state_dict(), **{f"{MEMORY}{name}": values for name, values in tables_of(table).items()}}
        lend_to_new_items(state)
        return Transitions(*(state[f"{MEMORY}{name}"].cpu().numpy() for name in MEMORY_TABLES))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        if self.memory is not None and f"{prefix}{MEMORY}followers" not in state_dict:
            self.memory = None  # older checkpoints have no memory
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def sources(self) -> dict[str, ItemSource]:
        """The sources of item vectors, by name."""
        return cast("dict[str, ItemSource]", dict(self.item_sources.items()))

    def item_vectors(self) -> Tensor:
        """Vectors of all items, [N, D]; row 0 is the padding."""
        first, *others = self.item_parts().values()
        for other in others:
            first = first + other
        return first

    def item_parts(self) -> dict[str, Tensor]:
        """The summands of the item vectors, [N, D] each: ``id``, and one for each source.

        In a model with sources, the ID embedding of an item without training events counts as zero. In training,
        ``id_dropout`` draws items that are treated like that in this step (as in DropoutNet, Volkovs et al. 2017).
        """
        parts: dict[str, Tensor] = {}
        if self.id_embedding is not None:
            parts["id"] = self.id_embedding.weight
            if self.item_sources:
                known = self.trained
                if self.training and self.id_dropout:
                    known = known & (torch.rand(known.shape, device=known.device) >= self.id_dropout)
                parts["id"] = parts["id"] * known.unsqueeze(-1)
        for name, source in self.sources.items():
            parts[name] = source()
        return parts

    def levels_of(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Level ids of each source; 0 means "missing".

        Args:
            values: numbers of each source in a batch, [...] in one shape (sequences have one dimension more); other
                fields are ignored.

        Returns:
            int64 ids in the same shape.
        """
        return {name: source.levels(values[name]) for name, source in self.fusion.sources.items()}

    def forward(self, item_seq: Tensor, levels: dict[str, Tensor], item_vectors: Tensor) -> Tensor:
        """Interest of the user after every event of a history.

        Args:
            item_seq: item ids, padded at the end, int64 [B, L].
            levels: level ids of each source, int64 [B, L, ...]; see :meth:`levels_of`.
            item_vectors: from :meth:`item_vectors`, [N, D].

        Returns:
            Interest vectors, [B, L, D]; ignore those at padded positions.
        """
        return self.interest_encoder(self._fused(item_seq, levels, item_vectors))

    def _fused(self, item_seq: Tensor, levels: dict[str, Tensor], item_vectors: Tensor) -> Tensor:
        return self.fusion(self.dropout(functional.embedding(item_seq, item_vectors)), levels)

    def extend(
        self, item_seq: Tensor, levels: dict[str, Tensor], item_vectors: Tensor, state: EncoderState
    ) -> tuple[Tensor, EncoderState]:
        """Process further events of users; see :meth:`InterestEncoder.extend`.

        Args:
            item_seq: item ids of the further events without padding, int64 [B, L].
            levels: level ids of these events, int64 [B, L] each.
            item_vectors: from :meth:`item_vectors`, [N, D].
            state: the state after the earlier events; ``interest_encoder.start(B)`` before the first.

        Returns:
            Interest after the last event, [B, D], and the new state.
        """
        return self.interest_encoder.extend(self._fused(item_seq, levels, item_vectors), state)

    def interest_after(
        self, item_seq: Tensor, length: Tensor, levels: dict[str, Tensor], item_vectors: Tensor
    ) -> Tensor:
        """Interest after the last event of each history, [B, D].

        Without gradients, histories are encoded in groups of similar length, with a bounded number of positions each.

        Args:
            item_seq: item ids, padded at the end, int64 [B, L].
            length: number of events of each history, int64 [B].
            levels: level ids of each source, int64 [B, L, ...].
            item_vectors: from :meth:`item_vectors`, [N, D].
        """
        if torch.is_grad_enabled() or item_seq.numel() <= EVAL_POSITIONS:
            return _at(self.forward(item_seq, levels, item_vectors), length - 1)
        order = torch.argsort(length, descending=True)
        out = torch.empty(len(order), item_vectors.shape[1], dtype=item_vectors.dtype, device=item_seq.device)
        begin = 0
        while begin < len(order):
            longest = int(length[order[begin]])
            rows = order[begin : begin + max(1, EVAL_POSITIONS // longest)]
            part = {name: value[rows, :longest] for name, value in levels.items()}
            interest = self.forward(item_seq[rows, :longest], part, item_vectors)
            out[rows] = _at(interest, length[rows] - 1).to(out.dtype)
            begin += len(rows)
        return out

    def at_request(self, interest: Tensor, gap: Tensor) -> Tensor:
        """Interest at the time of a request, [..., D]; unchanged without ``request_time``.

        Args:
            interest: interest after the last event, [..., D].
            gap: time units from the last event to the request, [...]; negative or NaN if unknown.
        """
        return interest if self.request is None else self.request(interest, gap)

    def comparable(self, interest: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Prepare interest and item vectors for the dot product: normalise and scale them for cosine logits."""
        if self.log_scale is None:
            return interest, items
        return functional.normalize(interest, dim=-1) * self.log_scale.exp(), functional.normalize(items, dim=-1)

    def repeat_logit(self) -> Tensor | None:
        """The repeat bias: added to the scores of items in the user's history, a scalar; None if it is off.

        How often users repeat an item depends on the data; in rating logs they never do. One learned number captures
        this, so interest and item vectors do not have to (repeat consumption, Anderson et al. 2014; RepeatNet, Ren et
        al. 2019, uses a separate decoder).
        """
        return None if self.repeat_bias is None else REPEAT_PACE * self.repeat_bias

    def add_repeats(self, scores: Tensor, item_seq: Tensor) -> Tensor:
        """Add the repeat bias to scores. Without gradients this is done in place, because scores may be large.

        Args:
            scores: scores of all items, [B, N].
            item_seq: the items of each user's history, padded with 0, int64 [B, L].
        """
        bias = self.repeat_logit()
        if bias is None:
            return scores
        raised = scores.gather(1, item_seq) + bias  # an item that occurs twice gets it once
        return scores.scatter(1, item_seq, raised) if torch.is_grad_enabled() else scores.scatter_(1, item_seq, raised)


def _at(outputs: Tensor, position: Tensor) -> Tensor:
    """Select one position of each row: [B, L, D] to [B, D]."""
    index = position.view(-1, 1, 1).expand(-1, -1, outputs.shape[-1])
    return outputs.gather(1, index).squeeze(1)
