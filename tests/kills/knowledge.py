"""What the warm process runs of `adapt` and `graph`. Only their tests import it, because the imports are slow."""

import peft  # noqa: F401 - a fork need not import it
import torch_geometric.nn.kge  # noqa: F401
import transformers.models.bert.modeling_bert  # noqa: F401

from recbole_longinterest.data import item_texts
from recbole_longinterest.data.graph import fit as graph_fit
from recbole_longinterest.text import encoder
from recbole_longinterest.text.adapting import fit, output
from recbole_longinterest.text.adapting.progress import Progress
from recbole_longinterest.training.adapting import job  # noqa: F401
from tests.kills.scenarios import RealEncoder, command


def adapt(*arguments: str) -> int:
    """Run `recbole-li adapt` with a real encoder. It saves its state after every batch and keeps the last epoch."""
    item_texts.TextEncoder = encoder.TextEncoder = output.TextEncoder = RealEncoder
    fit.SAVE_SECONDS = 0.0
    Progress.best = property(lambda self: len(self.values) - 1)
    return command(*arguments)


def graph(*arguments: str) -> int:
    """Run `recbole-li graph`; it saves its state after every epoch."""
    graph_fit.SECONDS_A_STATE = 0.0
    return command(*arguments)
