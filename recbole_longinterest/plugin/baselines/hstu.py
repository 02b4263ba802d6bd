"""HSTU: pointwise aggregated attention with position and time biases (Zhai et al., ICML 2024)."""

from typing import TYPE_CHECKING, ClassVar

import torch
from recbole.data.interaction import Interaction
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.timed_dataset import EVENT_TIME, REQUEST_TIME
from recbole_longinterest.plugin.baselines.base import CausalRecommender
from recbole_longinterest.plugin.baselines.options import POSITIVE, SWITCH, whole
from recbole_longinterest.plugin.baselines.sampled import draw_uniform, sampled_softmax, scores_of

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset

TIME_BUCKETS = 128
BUCKET_WIDTH = 0.301  # in natural logarithms of the time difference, as in the authors' code


def time_buckets(times: Tensor, asked: Tensor | None = None) -> Tensor:
    """Bucket of the time between every two events, ``floor(log(max(1, |t_i - t_j|)) / 0.301)``, int64 [B, L, L].

    Args:
        times: times of the events, float64 [B, L].
        asked: replaces ``t_i``: the time of the request for the item after event ``i``, float64 [B, L].
    """
    gap = ((times if asked is None else asked).unsqueeze(2) - times.unsqueeze(1)).abs().clamp_(min=1.0)
    return (gap.log_() / BUCKET_WIDTH).long().clamp_(max=TIME_BUCKETS)


class HSTULayer(nn.Module):
    """One Hierarchical Sequential Transduction Unit.

    ``U, V, Q, K = split(SiLU(f1(norm(X))))``, ``A = SiLU(Q K^T + rab) / n`` over the events so far,
    ``Y = X + f2(norm(A V) * U)`` (Zhai et al. 2024, eq. 1-3). ``rab_ij`` is a learned bias for ``i - j`` plus, with
    times, one for the bucket of ``t_i - t_j``; all heads share it. ``n`` is the window length, including padding.

    Args:
        size: D.
        heads: attention heads; must divide ``size``.
        window: window length n, the maximum number of events.
        timed: whether to add a time bias.
        dropout: dropout on the input of ``f2``.
    """

    def __init__(self, size: int, heads: int, window: int, timed: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm, self.mixed_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.parts, self.out = nn.Linear(size, 4 * size, bias=False), nn.Linear(size, size)
        self.position_bias = nn.Parameter(0.02 * torch.randn(window))
        self.time_bias = nn.Parameter(0.02 * torch.randn(TIME_BUCKETS + 1)) if timed else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, distance: Tensor, buckets: Tensor | None) -> Tensor:
        """Apply the layer: [B, L, D] to [B, L, D].

        Args:
            x: [B, L, D].
            distance: ``i - j``, negative for events after ``i``, int64 [L, L].
            buckets: buckets of the time differences, int64 [B, L, L]; None without a time bias.
        """
        batch, length, size = x.shape
        gate, *rest = functional.silu(self.parts(self.norm(x))).chunk(4, dim=-1)
        value, query, key = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in rest)
        bias = self.position_bias[distance.clamp(min=0)]  # [L, L]
        if self.time_bias is not None and buckets is not None:
            bias = bias + self.time_bias[buckets].unsqueeze(1)  # [B, 1, L, L]
        weights = functional.silu(query @ key.transpose(2, 3) + bias) / self.window  # [B, heads, L, L]
        mixed = weights.masked_fill(distance < 0, 0.0) @ value
        mixed = self.mixed_norm(mixed.transpose(1, 2).reshape(batch, length, size))
        out: Tensor = x + self.out(self.dropout(mixed * gate))
        return out


class HSTU(CausalRecommender):
    r"""Layers of :class:`HSTULayer` over items and learned positions; cosine scores divided by a temperature.

    By default, the time bias depends on the times of two events of the history, and the target's time is not used.
    With ``request_time: True``, it depends on the time of the next event and of one event of the history, as in the
    authors' code. So the published figures use the target's time, which at a recommendation is the time of the request.
    Without a time column, or with ``time_bias: off``, only positions are used.

    Differences from the paper: the target's time is not used by default; times are float64 instead of float32; the
    layers read items only, not the user's actions between them; full cross entropy with ``loss_type: CE``.

    Reference: Zhai et al., "Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative
    Recommendations", ICML 2024.
    """

    window_losses: ClassVar = ("sampled_softmax", "CE")
    rules: ClassVar = {
        "n_layers": whole(1),
        "n_heads": whole(1),
        "time_bias": SWITCH,
        "request_time": SWITCH,
        "temperature": POSITIVE,
        "negatives": whole(1),
    }

    def __init__(self, config: Settings, dataset: "SequentialDataset") -> None:
        self.EVENT_TIME_SEQ = EVENT_TIME + config["LIST_SUFFIX"]
        super().__init__(config, dataset)

    def build(self, dataset: "SequentialDataset") -> None:
        """Create the layers."""
        options = self.options
        self.timed = options["time_bias"] and self.EVENT_TIME_SEQ in getattr(dataset, "event_log", {})
        if self.reads_request_time and not self.timed:
            raise LongInterestError(
                "HSTU: request_time: True needs time_bias: on and the times of a .inter file. Set request_time: False."
            )
        self.position_embedding = nn.Embedding(self.max_seq_length, self.hidden_size)
        self.dropout = nn.Dropout(options["hidden_dropout_prob"])
        self.layers = nn.ModuleList(
            HSTULayer(
                self.hidden_size,
                options["n_heads"],
                self.max_seq_length,
                self.timed,
                options["hidden_dropout_prob"],
            )
            for _ in range(options["n_layers"])
        )

    @property
    def reads_request_time(self) -> bool:
        """Whether the target's time is used."""
        return bool(self.options["request_time"])

    def _asked(self, interaction: Interaction) -> Tensor | None:
        """Time of the request for the item after each event, float64 [B, L]; None without ``request_time``."""
        if not self.reads_request_time:
            return None
        times, asked = interaction[self.EVENT_TIME_SEQ], interaction[REQUEST_TIME]
        if asked.dim() > 1:  # a request time for every position of a window
            return asked
        last = (interaction[self.ITEM_SEQ_LEN] - 1).unsqueeze(1)
        return times.roll(-1, 1).scatter(1, last, asked.unsqueeze(1))

    def forward(self, interaction: Interaction) -> Tensor:
        """Output at every position, [B, L, D]."""
        item_seq = interaction[self.ITEM_SEQ]
        position = torch.arange(item_seq.shape[1], device=item_seq.device)
        events = self.item_embedding(item_seq) * self.hidden_size**0.5 + self.position_embedding(position)
        x: Tensor = self.dropout(events)
        distance = position.unsqueeze(1) - position
        times = interaction[self.EVENT_TIME_SEQ] if self.timed else None
        buckets = None if times is None else time_buckets(times, self._asked(interaction))
        for layer in self.layers:
            x = layer(x, distance, buckets)
        return x

    def comparable(self, outputs: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise both to length 1, and divide the outputs by the temperature."""
        return functional.normalize(outputs, dim=-1) / self.options["temperature"], functional.normalize(items, dim=-1)

    def loss(self, outputs: Tensor, items: Tensor, target: Tensor) -> Tensor:
        """Cross entropy over drawn negatives, or over the catalogue."""
        if self.loss_type == "CE":
            return super().loss(outputs, items, target)
        drawn = draw_uniform(target, self.options["negatives"], self.n_items)
        return sampled_softmax((outputs * items[target]).sum(dim=1), scores_of(outputs, items, drawn))
