"""Report on the best serving strategy for each group of users, measured on held-out events."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.experiments.comparison.statistics import bootstrap_means, interval
from recbole_longinterest.experiments.documents import Block, Heading, Points, Table, Text
from recbole_longinterest.serving.strategies.held_out import PLACES, HeldOut
from recbole_longinterest.serving.strategies.shop import MIX
from recbole_longinterest.serving.visitor import segment_names, segment_of

FEWEST = 30  # minimum users of a group to name a best strategy
RESAMPLES = 2000
LENGTHS = {"none": "no event before", "one": "1 event", "few": "2 to 9", "some": "10 to 49", "many": "50 and more"}
SPANS = {"none": "0", "one": "1", "few": "{min: 2, max: 9}", "some": "{min: 10, max: 49}", "many": "{min: 50}"}
NEW_SHARE = 0.1


@dataclass(frozen=True)
class Verdict:
    """The best strategy of a group.

    Attributes:
        group: name of the group.
        users: number of users.
        best: strategy with the highest mean NDCG@10; "" if the group has too few users or no hits.
        value: mean NDCG@10 of the best strategy.
        second: the second-best strategy.
        low: lower end of the 95 % bootstrap interval over users of the difference between the two.
        high: upper end of the interval.
    """

    group: str
    users: int
    best: str = ""
    value: float = 0.0
    second: str = ""
    low: float = 0.0
    high: float = 0.0

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return bool(self.best) and self.low > 0


def ndcg(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """NDCG@10 of single targets with given ranks: 1 / log2(1 + rank), 0 beyond rank 10 (Jarvelin 2002)."""
    return np.where(ranks <= PLACES, 1 / np.log2(1 + ranks), 0.0)


def groups_of(found: HeldOut) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Group users by their number of earlier events, and by the popularity of the held-out item.

    Returns:
        Kind of group -> name -> whether a user is in it, [B].
    """
    segments = np.array([segment_of(number) for number in found.events.tolist()])
    lengths = {LENGTHS[name]: segments == name for name in segment_names() if (segments == name).any()}
    out = {"Events before": lengths}
    if found.popularity is not None:
        counts = found.popularity
        shown = counts[counts > 0]
        low, high = np.quantile(shown, [1 / 3, 2 / 3]) if len(shown) else (0.0, 0.0)
        named = {
            "never of late": counts == 0,
            f"rare (up to {low:.0f})": (counts > 0) & (counts <= low),
            f"middle (up to {high:.0f})": (counts > low) & (counts <= high),
            f"popular (above {high:.0f})": (counts > high) & (counts > 0),
        }
        out["Recent events of the item"] = {name: mask for name, mask in named.items() if mask.any()}
    return out


def verdict_of(group: str, found: HeldOut, mask: NDArray[np.bool_], seed: int = 0) -> Verdict:
    """Find the best single strategy for a group of users.

    Args:
        group: name of the group.
        found: ranks of held-out events.
        mask: which users are in the group, [B].
        seed: seed of the bootstrap.
    """
    number = int(mask.sum())
    names = [name for name in found.ranks if name != MIX]
    values = np.stack([ndcg(found.ranks[name][mask]) for name in names])
    order = np.argsort(-values.mean(axis=1), kind="stable")
    if number < FEWEST or len(names) < 2 or not values.any():
        return Verdict(group, number)
    best, second = order[:2]
    samples = bootstrap_means((values[best] - values[second])[None], np.arange(number), RESAMPLES, seed)
    low, high = interval(samples[:, 0])
    return Verdict(group, number, names[best], float(values[best].mean()), names[second], low, high)


def report(found: HeldOut, model: str, history: str) -> list[Block]:
    """Make the report as blocks.

    Args:
        found: ranks of held-out events.
        model: model folder as text for the report.
        history: events file as text for the report.
    """
    everyone = np.ones(len(found.events), dtype=bool)
    overall = verdict_of("all", found, everyone)
    blocks: list[Block] = [Heading("Strategies", 1), Text(_sentence(overall)), *_notes(found, model, history)]
    blocks += [Heading("All users"), _whole(found, overall)]
    verdicts: list[Verdict] = []
    for kind, groups in groups_of(found).items():
        kinds = [verdict_of(name, found, mask) for name, mask in groups.items()]
        blocks += [Heading(f"{kind}: NDCG@{PLACES}"), _grouped(kind, found, groups), Heading(f"{kind}: the best", 3)]
        blocks.append(_best(kind, kinds))
        verdicts = verdicts or kinds
    blocks += [
        Heading("A mix by these figures"),
        Text("For the file of rules; a tenth of the places explores new items."),
    ]
    blocks.append(Points(mix_lines(verdicts)))
    return blocks


def mix_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Lines for ``mix`` in a rules file: the best strategy for each range of event counts with enough users."""
    spans = {LENGTHS[name]: span for name, span in SPANS.items()}
    return [
        f"{{events: {spans[each.group]}, shares: {{{each.best}: {1 - NEW_SHARE:g}, new: {NEW_SHARE:g}}}}}"
        for each in verdicts
        if each.best and each.best != "new"
    ] or ["no group has enough users"]


def _sentence(overall: Verdict) -> str:
    if not overall.best:
        return f"Too few users ({overall.users}) or no hit: no strategy can be called the best."
    said = f"{overall.best} is best over all {overall.users:,} users, NDCG@{PLACES} {overall.value:.4f}"
    if overall.clear:
        return f"{said}, ahead of {overall.second} by {overall.low:.4f} to {overall.high:.4f}."
    return f"{said}, but not clearly ahead of {overall.second} ({overall.low:+.4f} to {overall.high:+.4f})."


def _notes(found: HeldOut, model: str, history: str) -> list[Block]:
    lines = [
        f"model {model}, events {history}; the last event of each user is held out, the model reads those before",
        "items that the user has had are left out, apart from the held-out one; equal scores share their mean rank",
        "intervals: 95 %, users drawn with replacement",
    ]
    if found.left_out:
        lines.append(f"{found.left_out:,} more users were left out at random (--users)")
    if found.inside:
        lines.append(
            f"{found.inside:.0%} of the held-out events are not later than the training's last event: if the training "
            "had them, interest and similar look better than they are"
        )
    lines += [f"{name} is left out: {why}" for name, why in found.missing.items()]
    return [Points(lines)]


def _whole(found: HeldOut, overall: Verdict) -> Table:
    rows = [
        (name, f"{ndcg(ranks).mean():.4f}", f"{(ranks <= PLACES).mean():.4f}", f"{np.isfinite(ranks).mean():.0%}")
        for name, ranks in found.ranks.items()
    ]
    rows = [(*row[:3], "" if row[0] == MIX else row[3]) for row in rows]
    return Table(("strategy", f"NDCG@{PLACES}", f"Recall@{PLACES}", "ranked"), rows, best=overall.best or None)


def _grouped(kind: str, found: HeldOut, groups: dict[str, NDArray[np.bool_]]) -> Table:
    rows = [
        (name, f"{int(mask.sum()):,}", *(f"{ndcg(ranks[mask]).mean():.4f}" for ranks in found.ranks.values()))
        for name, mask in groups.items()
    ]
    small = frozenset(place for place, mask in enumerate(groups.values()) if mask.sum() < FEWEST)
    return Table((kind.lower(), "users", *found.ranks), rows, faint=small)


def _best(kind: str, verdicts: Sequence[Verdict]) -> Table:
    rows = []
    for each in verdicts:
        named = each.best or f"fewer than {FEWEST} users, or no hit"
        ahead = f"{each.second}: {each.low:+.4f} to {each.high:+.4f}" if each.best else ""
        clear = "" if not each.best else "yes" if each.clear else "no"
        rows.append((each.group, f"{each.users:,}", named, ahead, clear))
    return Table((kind.lower(), "users", "best", "ahead of the second by", "clear"), rows)
