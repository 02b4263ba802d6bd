"""Choose the sources of items and events of a run from the settings and the data."""

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
        id: whether items have an embedding of their own.
        items: sources of item vectors, in their order.
        events: sources of event features, in their order.
    """

    id: bool
    items: tuple[str, ...]
    events: tuple[str, ...]

    def __contains__(self, name: object) -> bool:
        """Whether a source is on."""
        return name in self.items or name in self.events or (name == "id" and self.id)

    def to_cache(self) -> dict[str, Any]:
        """The plain data that a data set cache keeps."""
        return asdict(self)


def resolve_features(
    config: Settings, absent: Mapping[str, str], items: Sequence[str] = (), events: Sequence[str] = ()
) -> Features:
    """Switch off sources that are absent from the data.

    A source that is on by default and absent is switched off with a line in the log. If the user set it (in a file, a
    dict or on the command line), its absence is an error.

    Args:
        config: RecBole's config; its ``external_config_dict`` holds the user's settings.
        absent: source -> why the data lacks it, one sentence.
        items: further sources of item vectors, all set by the user.
        events: further sources of events, all set by the user.

    Returns:
        The sources that are on.

    Raises:
        LongInterestError: for a switch that is neither on nor off, and for absent sources that the user set; all in one
            message.
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
                wrong.append(f"{key} is on, but {absent[name]} Set it off, or give the data.")
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
