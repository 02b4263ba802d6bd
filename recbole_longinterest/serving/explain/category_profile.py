"""What an interest vector means in categories: by how much their items score above the average item."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.explain.methods import MOST_EVENTS
from recbole_longinterest.serving.scorer import Scorer

FEWEST = 3  # items of a category that is looked at


@dataclass(frozen=True)
class Taste:
    """Tastes for categories.

    Attributes:
        names: of the categories.
        values: mean score of a category's items less the mean score of all items, [T, C].
    """

    names: list[str]
    values: Tensor

    def leading(self, number: int) -> list[int]:
        """The categories that are liked most at the end, best first."""
        return self.values[-1].argsort(descending=True)[:number].tolist()


@torch.no_grad()
def taste_of(scorer: Scorer, interest: Tensor) -> Taste:
    """Tastes that interest vectors stand for.

    Args:
        scorer: the model; without categories there are no tastes.
        interest: [T, D].
    """
    members: dict[str, list[int]] = {}
    for item, names in enumerate(scorer.served.items.categories):
        for name in names:
            members.setdefault(name, []).append(item)
    members = {name: items for name, items in members.items() if len(items) >= FEWEST}
    interest, items = scorer.network.comparable(interest, scorer.items)
    centre = items[1:].mean(dim=0)  # scores are linear in the item vectors, so means of vectors do
    means = [items[ids].mean(dim=0) - centre for ids in members.values()]
    return Taste(list(members), interest @ torch.stack(means).T if means else torch.zeros(len(interest), 0))


@torch.no_grad()
def interest_over_time(scorer: Scorer, history: History) -> Tensor:
    """Interest after each event that the model reads, [L, D].

    Raises:
        ValueError: for an empty history, or one too long to look at event by event.
    """
    item_seq, levels = scorer.window(history)
    if len(item_seq) > MOST_EVENTS:
        raise LongInterestError(
            f"Interest over time is shown for up to {MOST_EVENTS:,} events; this history has {len(item_seq):,}."
        )
    batch = {name: value.unsqueeze(0) for name, value in levels.items()}
    return scorer.network(item_seq.unsqueeze(0), batch, scorer.items)[0]
