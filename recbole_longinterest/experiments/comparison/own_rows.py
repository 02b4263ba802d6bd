"""Rows of a comparison with settings of one's own, from a yaml file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.yaml import read_yaml
from recbole_longinterest.experiments.comparison.variants import NOT_OF_A_MODEL, OWN, Variant, variant_of
from recbole_longinterest.training.settings import keys_of_file

NAME = re.compile(r"\w[\w.,+ -]{0,59}")  # names become folders
OF_COMPARE = ("seed", "dataset", "resume", "checkpoint_dir")
OF_ALL = tuple(name for name in NOT_OF_A_MODEL if name not in ("model", *OF_COMPARE))
FORM = "NAME: {model: MODEL, setting: value}"


def read_rows(file: Path) -> dict[str, Any]:
    """Read rows from a yaml file: name -> settings of the model, for :func:`own_row`.

    Raises:
        LongInterestError: if the file is missing or is not a mapping.
    """
    keys_of_file(file)  # raises for other files
    return {str(name): settings for name, settings in read_yaml(file.read_text(encoding="utf-8")).items()}


def own_row(name: str, given: Mapping[str, Any]) -> Variant:
    """Make a row. It has the tuned settings of its model, which its own settings override.

    Args:
        name: name of the row; "LongInterest, " is put before it if this is the model.
        given: settings of the model; ``model`` is LongInterest by default, or any other row or model.

    Raises:
        LongInterestError: if the name cannot be used, this is not a mapping of settings, or a setting must be equal in
            all rows.
    """
    if not NAME.fullmatch(name):
        raise LongInterestError(
            f"The name of a row must be letters, digits, spaces and . , + - _, at most 60; got {name!r}. Rename it."
        )
    if not isinstance(given, Mapping) or not isinstance(given.get("model", OWN), str):
        raise LongInterestError(f"Rows of one's own must have the form {FORM}; got {name}: {given!r}.")
    own = [key for key in given if key in OF_COMPARE]
    if own:
        raise LongInterestError(f"compare sets {own[0]} itself; remove it from the row {name}.")
    fixed = [key for key in given if key in OF_ALL]
    if fixed:
        raise LongInterestError(
            f"The row {name} sets {fixed[0]}, which all rows must share. Give --{fixed[0]} to the comparison instead."
        )
    model = given.get("model", OWN)
    if ":" in model:  # only the command line or a caller may choose code
        raise LongInterestError(f"The row {name} names {model}. Give it among the models, and its class alone here.")
    base = variant_of(model)
    settings = {**base.settings, **{str(key): value for key, value in given.items() if key != "model"}}
    if base.model == OWN:
        return Variant(f"{OWN}, {name}", OWN, settings, base.change, kind="ablation")
    return Variant(name, base.model, settings, base.change, base.like, kind="row")
