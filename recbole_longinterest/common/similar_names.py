"""Names that differ by how they are written only, such as those of behaviours from several sources."""

from collections import defaultdict
from collections.abc import Iterable, Iterator


def similar_names(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ by case, spaces, dashes and underscores only; in a group, in the order given."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups["".join(c for c in name.replace("%20", "").casefold() if not c.isspace() and c not in "-_")].append(name)
    return [group for group in groups.values() if len(group) > 1]


def notes_on_behaviors(names: Iterable[str]) -> Iterator[str]:
    """A sentence for each group of behaviours that may be one.

    Args:
        names: of the behaviours, the one to keep of a group first.
    """
    for first, *others in similar_names(names):
        pairs = ", ".join(f"{name}: {first}" for name in others)
        yield (
            f"Behaviours that differ only by case, spaces, dashes or underscores: {', '.join([first, *others])}. If "
            f"they are one, set behavior_map: {{{pairs}}}."
        )
