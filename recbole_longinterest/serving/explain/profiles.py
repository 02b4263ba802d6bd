"""Interest vectors of users as a table, and one user as a readable card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import atomic_file
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.explain.category_profile import taste_of
from recbole_longinterest.serving.results import Recommended

if TYPE_CHECKING:
    from recbole_longinterest.serving.recommender import Recommender

PARTS = (0.25, 0.5, 0.75, 1.0)  # of a history, after which tastes are compared


@dataclass(frozen=True)
class Card:
    """One user.

    Attributes:
        user: as in the file.
        events: events that were read.
        categories: the leading ones, and the taste for each after a quarter, a half, three quarters and all events.
        titles: what is recommended first.
        loved: titles of the history that score highest now.
        nearest: other users by cosine of the interest vectors, nearest first.
    """

    user: Any
    events: int
    categories: list[tuple[str, list[float]]]
    titles: list[Recommended]
    loved: list[str]
    nearest: list[tuple[Any, float]]

    def to_text(self) -> str:
        """For the terminal."""
        lines = [f"user {self.user}, {self.events} events"]
        if self.categories:
            lines.append(
                "leading categories, and how they drifted (score above the average item after 25, 50, 75, 100 %)"
            )
            lines += [
                f"  {name:20} " + " ".join(f"{value:+7.2f}" for value in values) for name, values in self.categories
            ]
        lines.append("recommended: " + "; ".join(item.title or item.item for item in self.titles))
        lines.append("of the history, closest to the interest now: " + "; ".join(self.loved))
        if self.nearest:
            lines.append("nearest users: " + ", ".join(f"{user} ({cosine:.2f})" for user, cosine in self.nearest))
        return "\n".join(lines) + "\n"


def profile_table(recommender: "Recommender", histories: Mapping[Any, History]) -> Any:  # noqa: ANN401
    """Users and their interest vectors.

    Args:
        recommender: the model.
        histories: by user; those without a known item are left out.

    Returns:
        A DataFrame: user, ``events``, ``interest`` (a list of D numbers).

    Raises:
        ValueError: if no history has a known item.
    """
    import pandas as pd

    users = _known(histories)
    interest = recommender.interest([histories[user] for user in users]).numpy()
    events = [len(histories[user]) for user in users]
    name = recommender.served.fields["user"]
    return pd.DataFrame({name: [str(user) for user in users], "events": events, "interest": list(interest)})


def write_parquet(table: Any, path: str | Path) -> None:  # noqa: ANN401 - a pandas DataFrame
    """Write a table: whole, or the file stays as it was.

    Raises:
        ValueError: if the file cannot be written.
    """
    try:
        with atomic_file(Path(path)) as draft:
            table.to_parquet(draft, index=False)
    except OSError as error:
        raise LongInterestError(f"{path} could not be written: {error}") from error


def card_of(recommender: "Recommender", histories: Mapping[Any, History], user: Any, number: int = 5) -> Card:  # noqa: ANN401
    """The card of one user.

    Args:
        recommender: the model.
        histories: by user; the others are looked at for the nearest.
        user: a key of ``histories``.
        number: entries of each list.

    Raises:
        ValueError: for a user that is not there, or has no known item.
    """
    if user not in histories:
        raise LongInterestError(f"There is no user {user} in the history; it has {len(histories):,}.")
    history = histories[user]
    if not len(history):
        raise LongInterestError(f"User {user} has no event with an item that the model knows.")
    until = [history.keep(slice(0, max(1, round(len(history) * part)))) for part in PARTS]
    interest = recommender.interest(until)
    taste = taste_of(recommender, interest)
    ((*titles,),) = recommender.best(interest[-1:], number, [history.item_seq])
    scores = recommender.scores_of(interest[-1:])[0]
    own = sorted({int(item) for item in history.item_seq}, key=lambda item: -float(scores[item]))[:number]
    items = recommender.served.items
    return Card(
        user,
        len(history),
        [(taste.names[i], taste.values[:, i].tolist()) for i in taste.leading(number)],
        [recommender.recommended(*item) for item in titles],
        [items.titles[item] or items.tokens[item] for item in own],
        _nearest(recommender, histories, user, interest[-1], number),
    )


def _nearest(
    recommender: "Recommender",
    histories: Mapping[Any, History],
    user: Any,  # noqa: ANN401
    interest: torch.Tensor,
    number: int,
) -> list[tuple[Any, float]]:
    others = [other for other in _known(histories) if other != user]
    if not others:
        return []
    vectors = recommender.interest([histories[other] for other in others])
    cosine = functional.cosine_similarity(vectors, interest.unsqueeze(0))
    top = cosine.topk(min(number, len(others)))
    return [(others[i], value) for value, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)]


def _known(histories: Mapping[Any, History]) -> Sequence[Any]:
    users = [user for user, history in histories.items() if len(history)]
    if not users:
        raise LongInterestError("Not one user has an event with an item that the model knows.")
    return users
