"""Check that every setting is one that the model or its data reads."""

import difflib
import functools
import inspect
import re
import sys
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING

from recbole.utils import ModelType

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.lookups import DATA_KEYS
from recbole_longinterest.plugin.models import is_baseline

if TYPE_CHECKING:
    from recbole.config.configurator import Config

STRICT = "strict_keys"
# Keys that RecBole or the plugin reads, but that are in none of their yaml files.
UNNAMED = {
    *("model", "dataset", "config_files", "encoding", "token_num_threshold", "convert_token_to_onehot", "tail_ratio"),
    *("resume", "quiet", "log_file", "num_threads", "verbose", "weight_averaging", "best_by"),
    *("category_field", STRICT),
    *("nproc", "world_size", "ip", "port", "offset", "group_offset", "local_rank", "device"),
    *("mask_ratio", "ft_ratio", "eta", "gamma", "beta"),  # RecBole's transforms of histories
    *("neg_sampling", "training_neg_sample_num"),  # from earlier versions; RecBole has its own messages for them
    *("MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type", "valid_neg_sample_args", "test_neg_sample_args"),
}
OF_SEQUENTIAL = (
    *("exact_order", "tie_order", "tie_seed", "split_by_time", "split_targets", "lean_sequences", "one_pass"),
    *("BEHAVIOR_FIELD", "behavior_map", "target_behavior"),
)
READS = re.compile(r"config\[[\"'](\w+)[\"']\]|config\.(\w+)\b|[\"'](\w+)[\"'] in (?:self\.)?config\b")
CLOSE = 0.8  # similarity above which an option of a user's script counts as a misspelt key


class UnknownKeyError(LongInterestError):
    """A setting that neither the model nor its data reads."""


def known_keys(config: "Config") -> set[str]:
    """All settings that a config's model and data may have."""
    internal = config.internal_config_dict
    known = set().union(*config.parameters.values())
    if not config.model_class.__module__.startswith("recbole_longinterest.") or is_baseline(config.model_class):
        known -= set(DATA_KEYS)  # these belong to LongInterest's data set
    known |= internal.keys() | UNNAMED | _read_by(config.model_class)
    if internal.get("MODEL_TYPE") == ModelType.SEQUENTIAL:
        known |= set(OF_SEQUENTIAL)
    return known


def check_keys(config: "Config", ours: bool) -> None:
    """Raise an error for an unknown key; with ``strict_keys: False``, log a warning instead.

    Args:
        config: RecBole's config with external settings and yaml files.
        ours: whether the command line belongs to one of our commands; a user's script may have its own options.

    Raises:
        UnknownKeyError: for the first unknown key.
    """
    external = config.external_config_dict
    strict = external.get(STRICT, True)
    known = known_keys(config)
    for key in external:
        if key in known or str(key).startswith("alias_of_"):
            continue
        message = about(str(key), str(config.model), known)
        elsewhere = key in config.file_config_dict or key in config.variable_config_dict
        of_script = not ours and key in config.cmd_config_dict and not elsewhere
        if of_script and _is_option_of_script(str(key)):
            continue
        if strict and (not of_script or difflib.get_close_matches(str(key), map(str, known), cutoff=CLOSE)):
            raise UnknownKeyError(f"{message} Remove it, or set {STRICT}: False to continue.")
        getLogger().warning(message)


def about(key: str, model: str, known: set[str]) -> str:
    """Message about an unknown key, with a suggestion."""
    close = difflib.get_close_matches(key, map(str, known), n=1)
    return f"{model} has no setting {key}." + (f" Did you mean {close[0]}?" if close else "")


@functools.cache
def _read_by(model_class: type) -> set[str]:
    """Keys that the code of a model, its data set and its trainer reads; its yaml file may leave them out."""
    # Late: this module is loaded before RecBole's.
    import recbole.data.dataset
    import recbole.trainer

    parts = [model_class]
    for place, kind in ((recbole.data.dataset, "Dataset"), (recbole.trainer, "Trainer")):
        parts.append(getattr(place, f"{model_class.__name__}{kind}", model_class))
    modules = {base.__module__ for part in parts for base in part.__mro__}
    found: set[str] = set()
    for name in modules - {"builtins", "torch.nn.modules.module"}:
        try:
            source = inspect.getsource(sys.modules[name])
        except (OSError, TypeError, KeyError):  # defined at an interactive prompt
            continue
        found.update(key for match in READS.findall(source) for key in match if key)
    return found


def _is_option_of_script(key: str) -> bool:
    """Whether the running script contains the key in its source, as with argparse."""
    try:
        return re.search(rf"\b{re.escape(key)}\b", Path(sys.argv[0]).read_text(encoding="utf-8")) is not None
    except (OSError, ValueError, IndexError):
        return False
