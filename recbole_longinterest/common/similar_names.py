"""Find names that differ only in spelling, such as behaviours from several sources."""

from collections import defaultdict
from collections.abc import Iterable, Iterator


def similar_names(names: Iterable[str]) -> list[list[str]]:
    """Group names that differ only by case, spaces, dashes and underscores; each group keeps the given order."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups["".join(c for c in name.replace("%20", "").casefold() if not c.isspace() and c not in "-_")].append(name)
    return [group for group in groups.values() if len(group) > 1]


def notes_on_behaviors(names: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each group of behaviours that may be the same.

    Args:
        names: names of the behaviours; in each group, the name to keep comes first.
    """
    for first, *others in similar_names(names):
        pairs = ", ".join(f"{name}: {first}" for name in others)
        yield (
            f"Behaviours that differ only by case, spaces, dashes or underscores: {', '.join([first, *others])}. If "
            f"they are one, set behavior_map: {{{pairs}}}."
        )
