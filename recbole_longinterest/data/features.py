"""Which feature sources a run has: what the options ask for, and what the data holds."""

from dataclasses import dataclass
from logging import getLogger

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.options import parse_switch


@dataclass(frozen=True)
class Features:
    """The feature sources that are on."""

    id: bool
    text: bool
    rating: bool
    behavior: bool
    time: bool


def resolve_features(config: Settings, absent: dict[str, str]) -> Features:
    """Switch features off that the data cannot feed.

    A feature that is on by default and absent from the data switches itself off, and the log says so. One that the
    user asked for by name (in a file, a dict or on the command line) and that is absent is an error.

    Args:
        config: RecBole's config; its ``external_config_dict`` holds what the user set.
        absent: feature -> why the data cannot feed it, one sentence.

    Returns:
        What is on.

    Raises:
        ValueError: for a switch that is neither on nor off, or a feature asked for that is absent; all in one message.
    """
    asked = getattr(config, "external_config_dict", {})
    on, wrong, off = {}, [], []
    for name in Features.__dataclass_fields__:
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
    if wrong:
        raise LongInterestError(" ".join(wrong))
    if not on["id"] and not on["text"]:
        raise LongInterestError(" ".join(["An item needs id_features or text_features, and both are off.", *off]))
    for line in off:
        getLogger().info(line)
    return Features(**on)
