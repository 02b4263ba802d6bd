"""Recommend the best items for users with histories, and popular items for users without one."""

from collections.abc import Sequence

from torch import Tensor

from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.exclusion import Exclusion
from recbole_longinterest.serving.explain.methods import explain_history
from recbole_longinterest.serving.results import (
    ALL_SEEN,
    EMPTY,
    EXCLUDED,
    NO_COUNTS,
    NONE_KNOWN,
    POPULARITY,
    Recommendation,
    check_k,
)
from recbole_longinterest.serving.scorer import Scorer


def recommend_to(
    scorer: Scorer,
    histories: Sequence[History],
    k: int,
    exclusion: Exclusion,
    allowed: Tensor | None = None,
    method: str | None = None,
) -> list[Recommendation]:
    """Recommend for the given histories.

    Args:
        scorer: the model.
        histories: one history per user; users without a known item get popular items.
        k: number of items.
        exclusion: items to exclude.
        allowed: internal ids of the only items that may be recommended; None for all.
        method: method to explain each item; None for no explanations.

    Raises:
        LongInterestError: if ``k`` is below 1, or for an unknown method.
    """
    check_k(k)
    out = [
        Recommendation([], 0, []) if len(history) else popular(scorer, k, exclusion, allowed, history.unknown)
        for history in histories
    ]
    rows = [row for row, history in enumerate(histories) if len(history)]
    step = scorer.scored_at_once
    for begin in range(0, len(rows), step):
        part = rows[begin : begin + step]
        interest = scorer.interest([histories[row] for row in part])
        hidden = [exclusion.of_history(histories[row]) for row in part]
        seen = () if exclusion.all_seen else [scorer.windowed(histories[row]).item_seq for row in part]
        recent = scorer.recent([histories[row] for row in part])
        best = scorer.best(interest, k, seen, allowed, hidden=hidden, recent=recent)
        for row, items in zip(part, best, strict=True):
            history = histories[row]
            why = [explain_history(scorer, history, item, method) if method else None for item, _ in items]
            chosen = [scorer.recommended(*item, reason) for item, reason in zip(items, why, strict=True)]
            out[row] = Recommendation(chosen, len(history), history.unknown, None if chosen else nothing(exclusion))
    return out


def popular(
    scorer: Scorer,
    k: int,
    exclusion: Exclusion,
    allowed: Tensor | None = None,
    unknown: Sequence[str] = (),
    why: str | None = None,
) -> Recommendation:
    """Recommend popular items to a user without known events.

    Args:
        scorer: the model.
        k: number of items.
        exclusion: items to exclude.
        allowed: internal ids of the only items that may be recommended; None for all.
        unknown: items of the user's events that the model does not know.
        why: reason why no event is known, for the message; None to derive it from ``unknown``.

    Returns:
        The items with the most recent events; no items and a problem for an export without these counts.
    """
    if scorer.served.items.recent is None:
        why = why or (NONE_KNOWN if unknown else EMPTY)
        return Recommendation([], 0, list(unknown), f"{why}, and {NO_COUNTS}")
    found = [scorer.recommended(*item) for item in scorer.popular(k, exclusion.items, allowed)]
    return Recommendation(found, 0, list(unknown), None if found else nothing(exclusion), POPULARITY)


def nothing(exclusion: Exclusion) -> str:
    """Return the reason why no item is left to recommend."""
    return EXCLUDED if len(exclusion.items) else ALL_SEEN
