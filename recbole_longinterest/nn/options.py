"""The model's options: read from a config once, checked together, and passed on as plain values."""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.registry import Registry
from recbole_longinterest.common.resources import resource
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.cells import CELLS
from recbole_longinterest.nn.losses import LOSSES

WHERE = (
    "Set it in a config file, a dict or on the command line; "
    f"{resource('properties', 'LongInterest.yaml')} says what each means."
)


def parse_switch(value: object) -> bool | None:
    """Read an on/off option. YAML turns ``on`` into True; the command line keeps the string.

    Args:
        value: a bool or one of "on", "off", "true", "false", in any case.

    Returns:
        True or False, or None for any other value.
    """
    if isinstance(value, bool):
        return value
    return {"on": True, "true": True, "off": False, "false": False}.get(str(value).strip().lower())


def read_switch(config: Settings, key: str, default: bool) -> bool:
    """Read a setting that may be True, False or unset.

    Args:
        config: anything that supports ``config[key]``.
        key: the setting.
        default: the value if it is unset (None).

    Raises:
        ValueError: if it has any other value.
    """
    value = default if config[key] is None else parse_switch(config[key])
    if value is None:
        raise LongInterestError(f"{key} must be True or False; got {config[key]!r}.")
    return value


def _number(kind: type, low: float, high: float) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:  # noqa: ANN401
        number = not isinstance(value, bool) and isinstance(value, (int, float))
        return kind(value) if number and low <= value <= high and kind(value) == value else None

    return parse


def _one_of(names: Iterable[str]) -> Callable[[Any], str | None]:
    return lambda value: next((name for name in names if str(value).lower() == name.lower()), None)


# key -> (constraint for the error message, or registry of the allowed names; parser that returns None for bad values)
RULES: dict[str, tuple[str | Registry[Any], Callable[[Any], Any]]] = {
    "embedding_size": ("a whole number of at least 1", _number(int, 1, 2**20)),
    "hidden_size": ("a whole number of at least 1", _number(int, 1, 2**20)),
    "num_layers": ("a whole number of at least 1", _number(int, 1, 64)),
    "rnn_type": (CELLS, _one_of(CELLS)),
    "dropout_prob": ("a number from 0 to 0.99", _number(float, 0, 0.99)),
    "hidden_dropout_prob": ("a number from 0 to 0.99", _number(float, 0, 0.99)),
    "initializer_range": ("a number from 0 to 1", _number(float, 0, 1)),
    "fusion": ("one of linear, gated", _one_of(("linear", "gated"))),
    "attention": ("on or off", parse_switch),
    "attention_heads": ("a whole number of at least 1", _number(int, 1, 1024)),
    "residual": ("on or off", parse_switch),
    "logits": ("one of dot, cosine", _one_of(("dot", "cosine"))),
    "repeat_bias": ("on or off", parse_switch),
    "memory": ("on or off", parse_switch),
    "memory_size": ("a whole number from 1 to 1000", _number(int, 1, 1000)),
    "memory_weight": ("a number from 0 to 100", _number(float, 0, 100)),
    "request_time": ("True or False", parse_switch),
    "id_dropout": ("a number from 0 to 0.99", _number(float, 0, 0.99)),
    "source_dropout": ("a number from 0 to 0.99", _number(float, 0, 0.99)),
    "augment_crop": ("a number from 0 to 1", _number(float, 0, 1)),
    "augment_mask": ("a number from 0 to 0.99", _number(float, 0, 0.99)),
    "augment_reorder": ("a number from 0 to 1", _number(float, 0, 1)),
    "augment_substitute": ("a number from 0 to 0.99", _number(float, 0, 0.99)),
    "augment_neighbours": ("one of text, counts", _one_of(("text", "counts"))),
    "loss_type": (LOSSES, _one_of(LOSSES)),
    "sampled_softmax": ("a whole number of at least 0", _number(int, 0, 2**31)),
    "text_dim": ("a whole number of at least 1", _number(int, 1, 2**16)),
}


@dataclass(frozen=True)
class ModelOptions:
    """Options of the network; ``properties/LongInterest.yaml`` says what each means."""

    embedding_size: int
    hidden_size: int
    num_layers: int
    rnn_type: str
    dropout_prob: float
    hidden_dropout_prob: float
    initializer_range: float
    fusion: str
    attention: bool
    attention_heads: int
    residual: bool
    logits: str
    repeat_bias: bool
    loss_type: str
    sampled_softmax: int
    text_dim: int
    memory: bool = False  # from here on: defaults for older checkpoints and exports, which lack these options
    memory_size: int = 100
    memory_weight: float = 1.0
    request_time: bool = False
    source_dropout: float = 0.0
    augment_crop: float = 0.0
    augment_mask: float = 0.0
    augment_reorder: float = 0.0
    augment_substitute: float = 0.0
    augment_neighbours: str = "text"
    id_dropout: float = 0.0

    @classmethod
    def from_config(cls, config: Settings) -> "ModelOptions":
        """Read and check all options at once.

        Args:
            config: anything that supports ``config[key]``.

        Returns:
            The options.

        Raises:
            ValueError: if an option is wrong; the message has a sentence for each wrong option.
        """
        values, wrong = {}, []
        for field in fields(cls):
            constraint, parse = RULES[field.name]
            given = config[field.name]
            if given is None and field.default is not MISSING:
                given = field.default
            values[field.name] = parse(given)
            if values[field.name] is None:
                allowed = constraint if isinstance(constraint, str) else f"one of {', '.join(constraint)}"
                own = (
                    "" if isinstance(constraint, str) else " A part of your own must be known first: import its module."
                )
                wrong.append(f"{field.name} must be {allowed}; got {config[field.name]!r}.{own}")
        if not wrong and values["attention"] and values["hidden_size"] % values["attention_heads"]:
            wrong.append(
                f"attention_heads must divide hidden_size ({values['hidden_size']}); got {values['attention_heads']}."
            )
        if not wrong and values["sampled_softmax"] and values["loss_type"] not in ("CE", "sampled_softmax"):
            wrong.append(f"sampled_softmax needs loss_type: CE; got {values['loss_type']}.")
        if not wrong and values["loss_type"] == "sampled_softmax" and not values["sampled_softmax"]:
            wrong.append("loss_type: sampled_softmax needs sampled_softmax, the number of items drawn; got 0.")
        if wrong:
            raise LongInterestError(" ".join([*wrong, WHERE]))
        return cls(**values)
