"""Training losses, their input, and their registry."""

from recbole_longinterest.nn.losses.base import LOSSES, Loss, LossBatch, make_loss, register_loss
from recbole_longinterest.nn.losses.bpr import BPR
from recbole_longinterest.nn.losses.cross_entropy import CrossEntropy, chunked_cross_entropy
from recbole_longinterest.nn.losses.repeats import Repeats, had_before
from recbole_longinterest.nn.losses.sampled_softmax import SampledSoftmax, sampled_softmax

__all__ = [
    "BPR",
    "LOSSES",
    "CrossEntropy",
    "Loss",
    "LossBatch",
    "Repeats",
    "SampledSoftmax",
    "chunked_cross_entropy",
    "had_before",
    "make_loss",
    "register_loss",
    "sampled_softmax",
]

register_loss("CE", CrossEntropy)
register_loss("BPR", BPR)
register_loss("sampled_softmax", SampledSoftmax)
