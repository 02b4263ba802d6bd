"""Settings from yaml, with numbers as RecBole reads them; nothing that a file names is run or looked up."""

import re
from typing import Any

import yaml

from recbole_longinterest.common.errors import LongInterestError

DEEPEST = 64
"""Levels of lists and mappings in each other that a settings file may have."""
MOST_VALUES = 200_000
"""Values of a settings file, those that ``*name`` repeats counted each time."""


class SettingsFileError(yaml.YAMLError, LongInterestError):
    """A yaml text that nests too deep or repeats itself without end."""


class SettingsLoader(yaml.SafeLoader):
    """Reads plain data. ``1e-4`` is a number, as in YAML 1.2; Python's own tags are refused, but for tuples."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - whatever yaml reads
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: object, index: object) -> Any:  # noqa: ANN401
        """Yaml's own, which recurses once a level, with a limit."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise SettingsFileError(f"it nests deeper than {DEEPEST} levels")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_document(self, node: Any) -> Any:  # noqa: ANN401
        """Yaml's own, after a look at how much the text stands for."""
        _check_size(node, {})
        return super().construct_document(node)


def _check_size(node: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:  # noqa: ANN401
    """Values and levels of a node; what an alias repeats was seen before, since it stands earlier in the text."""
    found = known.get(id(node), (1, 1))
    if id(node) not in known and not isinstance(node, yaml.ScalarNode):
        known[id(node)] = (MOST_VALUES, DEEPEST)  # until it is whole: a list that holds itself has no end
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        sizes = [_check_size(part, known) for part in parts]
        found = 1 + sum(size for size, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)
        known[id(node)] = found
    if found[0] > MOST_VALUES or found[1] > DEEPEST:
        raise SettingsFileError(
            f"with what *names repeat it holds more than {MOST_VALUES:,} values or nests deeper than {DEEPEST} levels"
        )
    return found


SettingsLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
SettingsLoader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


def read_yaml(text: str) -> Any:  # noqa: ANN401
    """Content of a text; nothing but plain data is made of it.

    Raises:
        yaml.YAMLError: for a text that is no yaml, and for one that nests too deep or repeats itself without end.
    """
    return yaml.load(text, SettingsLoader)
