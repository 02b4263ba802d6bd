"""Category profile of an interest vector: how much each category's items score above the average item."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.explain.methods import MOST_EVENTS
from recbole_longinterest.serving.scorer import Scorer

FEWEST = 3  # minimum number of items; smaller categories are left out


@dataclass(frozen=True)
class CategoryProfile:
    """Category profile of interest vectors.

    Attributes:
        names: names of the categories.
        values: mean score of a category's items minus the mean score of all items, [T, C] for T interest vectors.
    """

    names: list[str]
    values: Tensor

    def leading(self, number: int) -> list[int]:
        """Return the indices of the highest categories at the last interest vector, highest first."""
        return self.values[-1].argsort(descending=True)[:number].tolist()


@torch.no_grad()
def category_profile_of(scorer: Scorer, interest: Tensor) -> CategoryProfile:
    """Compute the category profile of interest vectors.

    Args:
        scorer: the model; without categories the profile is empty.
        interest: interest vectors, [T, D].
    """
    members: dict[str, list[int]] = {}
    for item, names in enumerate(scorer.served.items.categories):
        for name in names:
            members.setdefault(name, []).append(item)
    members = {name: items for name, items in members.items() if len(items) >= FEWEST}
    interest, items = scorer.network.comparable(interest, scorer.items)
    centre = items[1:].mean(dim=0)  # scores are linear in the item vectors, so mean vectors give mean scores
    means = [items[ids].mean(dim=0) - centre for ids in members.values()]
    return CategoryProfile(list(members), interest @ torch.stack(means).T if means else torch.zeros(len(interest), 0))


@torch.no_grad()
def interest_over_time(scorer: Scorer, history: History) -> Tensor:
    """Compute the interest vector after each event that the model reads, [L, D].

    Raises:
        LongInterestError: for an empty history, or one of more than ``MOST_EVENTS`` events.
    """
    item_seq, levels = scorer.window(history)
    if len(item_seq) > MOST_EVENTS:
        raise LongInterestError(
            f"Interest over time can be shown for up to {MOST_EVENTS:,} events; this history has {len(item_seq):,}."
        )
    batch = {name: value.unsqueeze(0) for name, value in levels.items()}
    return scorer.network(item_seq.unsqueeze(0), batch, scorer.items)[0]
