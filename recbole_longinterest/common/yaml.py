"""Read settings from yaml safely, with numbers as RecBole reads them; no code is run and no object is looked up."""

import re
from typing import Any

import yaml

from recbole_longinterest.common.errors import LongInterestError

DEEPEST = 64
"""Maximum nesting depth of lists and mappings in a settings file."""
MOST_VALUES = 200_000
"""Maximum number of values in a settings file; values repeated by ``*name`` count each time."""


class SettingsFileError(yaml.YAMLError, LongInterestError):
    """A yaml text that is nested too deep, or that expands to too many values."""


class SettingsLoader(yaml.SafeLoader):
    """Reads plain data. ``1e-4`` is a number, as in YAML 1.2. Of Python's tags only tuples are allowed."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - whatever yaml reads
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: object, index: object) -> Any:  # noqa: ANN401
        """Compose a node as PyYAML does, with a limit on the nesting depth."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise SettingsFileError(f"it nests deeper than {DEEPEST} levels")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_document(self, node: Any) -> Any:  # noqa: ANN401
        """Construct a document as PyYAML does, after checking its expanded size."""
        _check_size(node, {})
        return super().construct_document(node)


def _check_size(node: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:  # noqa: ANN401
    """Return the number of values and levels of a node; the target of an alias was counted earlier in the text."""
    found = known.get(id(node), (1, 1))
    if id(node) not in known and not isinstance(node, yaml.ScalarNode):
        known[id(node)] = (MOST_VALUES, DEEPEST)  # until it is counted: a list that contains itself is infinite
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        sizes = [_check_size(part, known) for part in parts]
        found = 1 + sum(size for size, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)
        known[id(node)] = found
    if found[0] > MOST_VALUES or found[1] > DEEPEST:
        raise SettingsFileError(
            f"with *name aliases expanded, it holds more than {MOST_VALUES:,} values or nests deeper than {DEEPEST} "
            "levels"
        )
    return found


SettingsLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
SettingsLoader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


def read_yaml(text: str) -> Any:  # noqa: ANN401
    """Parse a yaml text into plain data.

    Raises:
        yaml.YAMLError: for text that is not yaml, is nested too deep, or expands to too many values.
    """
    return yaml.load(text, SettingsLoader)
