"""Dropout at half the cost of torch's on a CPU, where torch's takes a tenth of an epoch."""

import torch
from torch import Tensor, nn

LEVELS = 2**16  # the probability is rounded to a multiple of 1 / LEVELS; kept values are scaled accordingly


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014): set elements to zero with probability ``p``, scale the others by ``1/(1-p)``.

    On a CPU, torch draws a random number for every element. Here one 64-bit number serves four elements, because 16
    bits are enough. Other devices use torch's dropout. The numbers come from torch's global generator, so a resumed run
    draws the same masks.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply dropout in training; return the input in evaluation."""
        dropped = round(self.p * LEVELS)
        if not self.training or dropped in (0, LEVELS) or input.device.type != "cpu":
            return super().forward(input)
        drawn = torch.empty((input.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.int16)[: input.numel()].view(input.shape) >= dropped - LEVELS // 2
        return input * (kept * input.new_tensor(LEVELS / (LEVELS - dropped)))
