"""Read the settings of behaviours: renaming, and the behaviours that are targets."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings

DEFAULT_FIELD = "behavior"


def behavior_field(config: Settings) -> str:
    """Field of the behaviours. The yaml files of RecBole's models do not set it, so it has a default."""
    return config["BEHAVIOR_FIELD"] or DEFAULT_FIELD


def read_behavior_map(config: Settings) -> Mapping[str, str]:
    """Read ``behavior_map``: behaviour in the file -> new name; other behaviours keep their names.

    Raises:
        ValueError: if it is not a mapping of names.
    """
    names = config["behavior_map"]
    if names is None:
        return {}
    if not isinstance(names, dict) or not all(_is_name(name) for pair in names.items() for name in pair):
        raise LongInterestError(
            f"behavior_map must map names to names, as {{detail: view, buy: purchase}}; got {names!r}."
        )
    return {str(name): str(other) for name, other in names.items()}


def read_target_behaviors(config: Settings) -> list[str]:
    """Read ``target_behavior``: the behaviours whose events are targets; empty if all events are.

    Raises:
        ValueError: if it is neither a name nor a list of names.
    """
    target = config["target_behavior"]
    names = [] if target is None else target if isinstance(target, list) else [target]
    if not all(map(_is_name, names)):
        raise LongInterestError(f"target_behavior must be a behaviour, a list of behaviours, or empty; got {target!r}.")
    return list(map(str, names))


def _is_name(value: object) -> bool:
    """Whether a value is a non-empty text or a whole number; yaml reads numeric codes of behaviours as numbers."""
    return bool(value) if isinstance(value, str) else isinstance(value, int) and not isinstance(value, bool)


def uses_behaviors(config: Settings) -> bool:
    """Whether ``behavior_map`` or ``target_behavior`` is set, which only the flat log supports."""
    return bool(read_behavior_map(config) or read_target_behaviors(config))


def names_in(column: pd.Series) -> set[str]:
    """Behaviours of a column that is categorical or strings."""
    return set(column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.dropna().unique())


def renamed(column: pd.Series, names: Mapping[str, str]) -> pd.Series:
    """Rename the behaviours of a column.

    Args:
        column: categorical or strings, [n].
        names: behaviour -> new name.

    Returns:
        The column, of the same kind, [n].
    """
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column.map(lambda name: names.get(name, name), na_action="ignore")
    old = column.cat.categories
    new, merged = np.unique([names.get(name, name) for name in old], return_inverse=True)
    codes = np.append(merged, -1)[column.cat.codes.to_numpy()]
    return pd.Series(pd.Categorical.from_codes(codes, new.astype(object)), index=column.index, name=column.name)


def ids_of_targets(names: list[str], known: Mapping[str, int], where: str) -> NDArray[np.int64]:
    """Return the ids of the target behaviours.

    Args:
        names: result of :func:`read_target_behaviors`.
        known: behaviour -> id, including the padding.
        where: name of the data set, for the message.

    Raises:
        ValueError: if a behaviour does not occur in the data.
    """
    missing = [name for name in names if name not in known]
    if missing:
        have = ", ".join(str(name) for name in known if known[name])
        raise LongInterestError(f"target_behavior: {', '.join(missing)} does not occur in {where}, which has: {have}.")
    return np.array([known[name] for name in names], dtype=np.int64)
