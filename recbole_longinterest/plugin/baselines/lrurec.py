"""LRURec: linear recurrent units for sequential recommendation (Yue et al., WSDM 2024)."""

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from recbole.data.interaction import Interaction
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.plugin.baselines.base import CausalRecommender
from recbole_longinterest.plugin.baselines.options import POSITIVE, PROBABILITY, Rule, whole

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset


def scan(inputs: Tensor, decay: Tensor) -> Tensor:
    """Compute all states of ``h_t = decay * h_(t-1) + inputs_t`` with a parallel scan of log2 L steps.

    Each step joins pairs of runs of 1, 2, 4, ... positions: the last state of the first run, decayed, is added to the
    states of the second. Padding comes after a history's events, so it does not affect them.

    Args:
        inputs: complex [B, L, H].
        decay: complex [H].

    Returns:
        complex [B, L, H].
    """
    batch, length, size = inputs.shape
    whole_length = 1 << (length - 1).bit_length()
    states = functional.pad(torch.view_as_real(inputs), (0, 0, 0, 0, 0, whole_length - length))
    states = torch.view_as_complex(states.contiguous())
    powers = decay.unsqueeze(0)  # [run, H]: decay^1 ... decay^run
    run = 1
    while run < whole_length:
        first, second = states.view(batch, -1, 2, run, size).unbind(dim=2)  # [B, runs, run, H]
        second = second + powers * first[:, :, -1:]
        states = torch.stack([first, second], dim=2).view(batch, whole_length, size)
        powers = torch.cat([powers, powers * powers[-1]])
        run *= 2
    return states[:, :length]


class LinearRecurrentUnit(nn.Module):
    """A diagonal linear recurrence with complex states (Orvieto et al. 2023).

    ``h_t = lambda * h_(t-1) + gamma * (B x_t)`` and ``y_t = Re(C h_t)``. The exponential parametrisation
    ``lambda = exp(-exp(nu) + i exp(theta))`` has a magnitude below 1 for every ``nu``; ``gamma`` starts at
    ``sqrt(1 - |lambda|^2)``, so that states have the magnitude of the inputs. ``B`` and ``C`` are complex matrices,
    stored as real ones.

    Args:
        size: D.
        states: H, number of complex values of a state.
        radius: lowest and highest initial magnitude of ``lambda``.
    """

    def __init__(self, size: int, states: int, radius: tuple[float, float]) -> None:
        super().__init__()
        low, high = (bound**2 for bound in radius)
        magnitude = (torch.rand(states) * (high - low) + low).sqrt()  # uniform on the ring, Orvieto et al., lemma 3.2
        self.log_nu = nn.Parameter((-magnitude.log()).log())
        self.log_theta = nn.Parameter((torch.rand(states) * 2 * math.pi).clamp(min=1e-6).log())
        self.log_gamma = nn.Parameter(0.5 * (1 - magnitude**2).log())
        self.inward, self.outward = nn.Linear(size, 2 * states), nn.Linear(2 * states, size)

    def decay(self) -> Tensor:
        """``lambda``, complex [H]."""
        return torch.polar((-self.log_nu.exp()).exp(), self.log_theta.exp())

    def forward(self, x: Tensor) -> Tensor:
        """Apply the unit: ``x``, [B, L, D], to ``y``, [B, L, D]."""
        parts = self.inward(x).unflatten(-1, (-1, 2)).contiguous()
        inputs = torch.view_as_complex(parts) * self.log_gamma.exp()  # [B, L, H]
        states = scan(inputs, self.decay())
        out: Tensor = self.outward(torch.view_as_real(states).flatten(-2))
        return out


class LRUBlock(nn.Module):
    """A linear recurrent unit and a feed-forward layer, each followed by dropout, residual and layer norm.

    Args:
        size: D.
        states: H.
        radius: see :class:`LinearRecurrentUnit`.
        dropout: dropout on both outputs, and inside the feed-forward layer.
    """

    def __init__(self, size: int, states: int, radius: tuple[float, float], dropout: float) -> None:
        super().__init__()
        self.unit = LinearRecurrentUnit(size, states, radius)
        self.unit_norm, self.inner_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.inner, self.inner_out = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: [B, L, D] to [B, L, D]."""
        x = self.unit_norm(x + self.dropout(self.unit(x)))
        inner = self.inner_out(self.dropout(functional.gelu(self.inner(x))))
        out: Tensor = self.inner_norm(x + self.dropout(inner))
        return out


class LRURec(CausalRecommender):
    r"""Linear recurrent units instead of attention: no positions, a state of fixed size, full cross entropy.

    Blocks of a :class:`LinearRecurrentUnit` and a feed-forward layer over the layer-normed item vectors. An item's
    score is ``output . e_j + b_j``.

    Differences from the paper: histories are padded at the end, as in RecBole, instead of at the front, so the
    recurrence needs no mask; dense layers are initialised from a normal distribution that is not truncated at two
    standard deviations.

    Reference: Yue et al., "Linear Recurrent Units for Sequential Recommendation", WSDM 2024; the unit: Orvieto et al.,
    "Resurrecting Recurrent Neural Networks for Long Sequences", ICML 2023.
    """

    window_losses: ClassVar = ("CE",)
    rules: ClassVar = {
        "n_layers": whole(1),
        "state_size": whole(1),
        "embedding_dropout_prob": PROBABILITY,
        "least_radius": PROBABILITY,
        "greatest_radius": Rule(POSITIVE.text + " and below 1", lambda v: POSITIVE.holds(v) and v < 1),
    }

    def build(self, dataset: "SequentialDataset") -> None:
        """Create the layers."""
        options = self.options
        radius = min(options["least_radius"], options["greatest_radius"]), options["greatest_radius"]
        self.norm = nn.LayerNorm(self.hidden_size)
        self.dropout = nn.Dropout(options["embedding_dropout_prob"])
        self.blocks = nn.ModuleList(
            LRUBlock(self.hidden_size, options["state_size"], radius, options["hidden_dropout_prob"])
            for _ in range(options["n_layers"])
        )
        self.item_bias = nn.Parameter(torch.zeros(self.n_items))

    def forward(self, interaction: Interaction) -> Tensor:
        """Output at every position, [B, L, D]."""
        x: Tensor = self.dropout(self.norm(self.item_embedding(interaction[self.ITEM_SEQ])))
        for block in self.blocks:
            x = block(x)
        return x

    def comparable(self, outputs: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Append a column to both, so that the dot product includes the item's bias."""
        one = outputs.new_ones(len(outputs), 1)
        return torch.cat([outputs, one], dim=1), torch.cat([items, self.item_bias.unsqueeze(1)], dim=1)
