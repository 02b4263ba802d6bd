"""Export interest vectors of users as a table, and describe one user by a card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import atomic_file
from recbole_longinterest.common.printable import printable
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.exclusion import read_exclusion
from recbole_longinterest.serving.explain.category_profile import category_profile_of
from recbole_longinterest.serving.results import Recommended
from recbole_longinterest.serving.scorer import Scorer

if TYPE_CHECKING:
    import pandas as pd

PARTS = (0.25, 0.5, 0.75, 1.0)  # parts of the history at which category profiles are compared


@dataclass(frozen=True)
class Card:
    """Description of one user.

    Attributes:
        user: id as in the file.
        events: number of events read.
        categories: leading categories, each with its score after 25, 50, 75 and 100 % of the events.
        titles: the top recommended items.
        loved: titles of the history with the highest current scores.
        nearest: other users by cosine of the interest vectors, nearest first.
    """

    user: object
    events: int
    categories: list[tuple[str, list[float]]]
    titles: list[Recommended]
    loved: list[str]
    nearest: list[tuple[object, float]]

    def to_text(self) -> str:
        """Format the card for the terminal."""
        lines = [f"user {printable(self.user)}, {self.events} events"]
        if self.categories:
            lines.append(
                "leading categories, and how they drifted (score above the average item after 25, 50, 75, 100 %)"
            )
            lines += [
                f"  {printable(name):20} " + " ".join(f"{value:+7.2f}" for value in values)
                for name, values in self.categories
            ]
        lines.append("recommended: " + "; ".join(printable(item.title or item.item) for item in self.titles))
        lines.append("items of the history closest to the current interest: " + "; ".join(map(printable, self.loved)))
        if self.nearest:
            lines.append(
                "nearest users: " + ", ".join(f"{printable(user)} ({cosine:.2f})" for user, cosine in self.nearest)
            )
        return "\n".join(lines) + "\n"


def profile_table(scorer: Scorer, histories: Mapping[Any, History]) -> "pd.DataFrame":
    """Build a table of users and their interest vectors.

    Args:
        scorer: the model.
        histories: histories by user; those without a known item are left out.

    Returns:
        A DataFrame with columns user, ``events``, ``interest`` (a list of D numbers).

    Raises:
        LongInterestError: if no history has a known item.
    """
    import pandas as pd  # late: not needed for other explanations

    users = _known(histories)
    interest = scorer.interest([histories[user] for user in users]).numpy()
    events = [len(histories[user]) for user in users]
    name = scorer.served.fields["user"]
    return pd.DataFrame({name: [str(user) for user in users], "events": events, "interest": list(interest)})


def write_parquet(table: "pd.DataFrame", path: str | Path) -> None:
    """Write a table atomically.

    Raises:
        LongInterestError: if the file cannot be written.
    """
    try:
        with atomic_file(Path(path)) as draft:
            table.to_parquet(draft, index=False)
    except OSError as error:
        raise LongInterestError(f"{path} could not be written: {error}") from error


def card_of(scorer: Scorer, histories: Mapping[Any, History], user: object, number: int = 5) -> Card:
    """Build the card of one user.

    Args:
        scorer: the model.
        histories: histories by user; the nearest users are chosen from the others.
        user: a key of ``histories``.
        number: length of each list.

    Raises:
        LongInterestError: for an unknown user, or a user without a known item.
    """
    if user not in histories:
        raise LongInterestError(f"There is no user {user} in the history; it has {len(histories):,}.")
    history = histories[user]
    if not len(history):
        raise LongInterestError(f"User {user} has no event with an item that the model knows.")
    until = [history.keep(slice(0, max(1, round(len(history) * part)))) for part in PARTS]
    interest = scorer.interest(until)
    profile = category_profile_of(scorer, interest)
    exclusion = read_exclusion(True, scorer.reader.behaviors)
    seen = scorer.windowed(history).item_seq
    ((*titles,),) = scorer.best(
        interest[-1:], number, [seen], hidden=[exclusion.of_history(history)], recent=scorer.recent([history])
    )
    scores = scorer.scores_of(interest[-1:])[0]
    own = sorted({int(item) for item in history.item_seq}, key=lambda item: -float(scores[item]))[:number]
    items = scorer.served.items
    return Card(
        user,
        len(history),
        [(profile.names[i], profile.values[:, i].tolist()) for i in profile.leading(number)],
        [scorer.recommended(*item) for item in titles],
        [items.titles[item] or items.tokens[item] for item in own],
        _nearest(scorer, histories, user, interest[-1], number),
    )


def _nearest(
    scorer: Scorer,
    histories: Mapping[Any, History],
    user: object,
    interest: torch.Tensor,
    number: int,
) -> list[tuple[object, float]]:
    others = [other for other in _known(histories) if other != user]
    if not others:
        return []
    vectors = scorer.interest([histories[other] for other in others])
    cosine = functional.cosine_similarity(vectors, interest.unsqueeze(0))
    top = cosine.topk(min(number, len(others)))
    return [(others[i], value) for value, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)]


def _known(histories: Mapping[Any, History]) -> Sequence[Any]:
    users = [user for user, history in histories.items() if len(history)]
    if not users:
        raise LongInterestError("No user has an event with an item that the model knows.")
    return users
