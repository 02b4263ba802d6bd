"""Settings from yaml, with numbers as RecBole reads them."""

import re
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number, as YAML 1.2 does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:  # noqa: ANN401
    """Content of a text; nothing but plain data is made of it.

    Raises:
        yaml.YAMLError: for a text that is no yaml.
    """
    return yaml.load(text, _Loader)
