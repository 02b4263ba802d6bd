"""Choose the item sources and event sources of a run from the settings and the data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from logging import getLogger
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.options import parse_switch

SWITCHES = ("id", "text", "rating", "behavior", "time")  # each has a key <name>_features


@dataclass(frozen=True)
class Features:
    """The sources that are on.

    Attributes:
        id: whether each item has a learned embedding.
        items: names of the sources of item vectors, in order.
        events: names of the sources of event features, in order.
    """

    id: bool
    items: tuple[str, ...]
    events: tuple[str, ...]

    def __contains__(self, name: object) -> bool:
        """Whether a source is on."""
        return name in self.items or name in self.events or (name == "id" and self.id)

    def to_cache(self) -> dict[str, Any]:
        """Plain data for a data set cache."""
        return asdict(self)


def resolve_features(
    config: Settings, absent: Mapping[str, str], items: Sequence[str] = (), events: Sequence[str] = ()
) -> Features:
    """Read the switches of the sources, and switch off sources that the data lack.

    A source that is on by default is switched off if the data lack it, and this is logged. If the user switched it on
    (in a file, a dict or on the command line), missing data are an error.

    Args:
        config: RecBole's config; its ``external_config_dict`` has the user's settings.
        absent: source -> reason why the data lack it, one sentence.
        items: further sources of item vectors; the user has set them.
        events: further event sources; the user has set them.

    Returns:
        The sources that are on.

    Raises:
        LongInterestError: if a switch is neither on nor off, or the data lack a source that the user set. The message
            lists all errors.
    """
    asked = getattr(config, "external_config_dict", {})
    on, wrong, off = {}, [], []
    for name in SWITCHES:
        key = f"{name}_features"
        switch = parse_switch(config[key])
        if switch is None:
            wrong.append(f"{key} must be on or off; got {config[key]!r}.")
            continue
        if switch and name in absent:
            if key in asked:
                wrong.append(f"{key} is on, but {absent[name]} Switch it off, or add the data.")
            else:
                off.append(f"{key} is off: {absent[name]}")
                switch = False
        on[name] = switch
    wrong += [f"{name} cannot be read: {absent[name]}" for name in (*items, *events) if name in absent]
    if wrong:
        raise LongInterestError(" ".join(wrong))
    text = ("text",) if on["text"] else ()
    if not on["id"] and not text and not items:
        raise LongInterestError(" ".join(["An item needs id_features or text_features, and both are off.", *off]))
    for line in off:
        getLogger().info(line)
    built_in = tuple(name for name in ("rating", "behavior", "time") if on[name])
    return Features(on["id"], (*text, *items), (*built_in, *events))
