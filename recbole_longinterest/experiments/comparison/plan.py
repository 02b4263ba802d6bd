"""The plan of a comparison: models, data sets, seeds and settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole.config import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.experiments.comparison.own_rows import own_row
from recbole_longinterest.experiments.comparison.variants import (
    ABLATIONS,
    OWN,
    ROWS,
    Variant,
    ablation,
    variant_of,
)
from recbole_longinterest.experiments.comparison.views import View, read_views
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.training.settings import keys_of_file


@dataclass(frozen=True)
class Plan:
    """The models, data sets, seeds and settings of a comparison.

    Attributes:
        models: rows of the comparison, each with all seeds.
        datasets: names of the data sets.
        seeds: seeds of every row.
        once: further rows, with only the first seed.
        ablations: names of ablations of LongInterest.
        own_rows: further rows with all seeds: name -> settings, see :mod:`.own_rows`.
        tuned_on: data set whose tuned settings all rows have; "" for those of each data set.
        given: settings of every run.
        lists: ``NAME`` or ``NAME@DATASET`` of external lists -> their file.
        lists_columns: names of ``user``, ``item``, ``rank`` and ``score`` in these files.
        ties: orders of ties, ``file`` and ``random``; each has its own table.
        splits: ``leave-one-out``, which is the split of ``eval_args``, and ``time``; each has its own tables.
    """

    models: Sequence[str]
    datasets: Sequence[str]
    seeds: Sequence[int]
    once: Sequence[str] = ()
    ablations: Sequence[str] = ()
    given: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    lists_columns: dict[str, str] = field(default_factory=dict)
    ties: Sequence[str] = ("file",)
    splits: Sequence[str] = ("leave-one-out",)
    own_rows: dict[str, Any] = field(default_factory=dict)
    tuned_on: str = ""
    subject: str = OWN

    @property
    def views(self) -> list[View]:
        """The views (order of ties and split) of every data set."""
        return read_views(self.ties, self.splits, self.given)

    def rows(self) -> list[tuple[Variant, Sequence[int]]]:
        """The rows with their seeds.

        Raises:
            LongInterestError: for an unknown ablation, or ablations without LongInterest; and for a row of one's own
                with a wrong form or another row's name.
        """
        known = {entry.name: entry for entry in ABLATIONS}
        unknown = [name for name in self.ablations if name not in known]
        if unknown:
            raise LongInterestError(f"There is no ablation {unknown[0]!r}; there are: {', '.join(known)}.")
        if self.ablations and OWN not in (*self.models, *self.once):
            raise LongInterestError(f"Ablations are {OWN} without a part, and compared with it. Add it to the models.")
        wanted = [(variant_of(name), self.seeds) for name in self.models]
        wanted += [(ablation(known[name]), self.seeds) for name in self.ablations]
        wanted += [(variant_of(name), self.seeds[:1]) for name in self.once]
        found: dict[str, tuple[Variant, Sequence[int]]] = {}
        for variant, seeds in wanted:
            found.setdefault(variant.name, (variant, seeds))
        for name, settings in self.own_rows.items():
            variant = own_row(name, settings)
            if variant.name in found:
                raise LongInterestError(f"There are two rows {variant.name}. Give the row {name} another name.")
            found[variant.name] = variant, self.seeds
        return list(found.values())


def all_ablations(models: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names for ``--ablations`` without a list: every ablation, and the control rows.

    Args:
        models: models of the comparison.

    Returns:
        Names of ablations, and of further rows, except those of a baseline that is not in ``models``.
    """
    missing = {row.model for row in ROWS if "@" in row.name} - set(models)
    return [entry.name for entry in ABLATIONS], [row.name for row in ROWS if row.model not in missing]


def read_settings(config_files: Sequence[str], settings: Mapping[str, object] | Sequence[str]) -> dict[str, Any]:
    """Read the settings of every run with RecBole's parser.

    Args:
        config_files: yaml files; later files override earlier ones.
        settings: a mapping, or `--key=value` texts; they override the files.

    Returns:
        The settings, with absolute paths.

    Raises:
        ValueError: if a file is missing or has no settings, or a setting is one that compare sets itself.
    """
    for file in config_files:
        keys_of_file(Path(file))
    parser = Config.__new__(Config)
    parser.yaml_loader = parser._build_yaml_loader()
    if isinstance(settings, Mapping):
        named = parser._convert_config_dict(dict(settings))
    else:
        with command_line(settings):
            named = parser._load_cmd_line()
    given = {**parser._load_config_files(list(config_files)), **named}
    given.setdefault("data_path", "dataset")
    given = with_absolute_paths(given)
    own = [name for name in ("seed", "model", "dataset", "resume", "checkpoint_dir") if name in given]
    if own:
        raise LongInterestError(f"compare sets {own[0]} itself; leave it out.")
    return given


def with_absolute_paths(given: Mapping[str, Any]) -> dict[str, Any]:
    """Make paths of settings absolute if they exist, because every run has a folder of its own."""
    paths = ("data_path", "text_encoder", "text_vectors")
    found = {name: Path(value) for name, value in given.items() if name in paths and isinstance(value, str)}
    return {**given, **{name: str(path.resolve()) for name, path in found.items() if path.exists()}}
