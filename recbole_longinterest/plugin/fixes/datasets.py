"""Patches of RecBole's data sets for pandas 3: missing values, sequences, read-only memory."""

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from recbole.utils import FeatureType

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.parquet_events import events_file, is_parquet
from recbole_longinterest.data.numbers import find_no_number
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.same_code import with_globals

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset, SequentialDataset
    from recbole.data.interaction import Interaction

DATASET = "recbole.data.dataset.dataset:Dataset"


def _without_agg_warning(method: Callable[..., Any]) -> Callable[..., Any]:
    """Silence pandas 2.3's warning that ``Series.agg(len)`` will change."""

    @functools.wraps(method)
    def quiet(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"using .* in Series\.agg", category=FutureWarning)
            return method(*args, **kwargs)

    return quiet


@patch(
    f"{DATASET}._fill_nan",
    name="missing_values",
    kind="fix",
    why="RecBole fills missing values in place, which has no effect in pandas 3, so NaN becomes an invalid id or a "
    "NaN score.",
)
def _fill_nan(self: "Dataset") -> None:
    for feat_name in self.feat_name_list:
        feat = getattr(self, feat_name)
        for field in feat:
            kind = self.field2type[field]
            if kind == FeatureType.TOKEN:
                feat[field] = feat[field].fillna(0)
            elif kind == FeatureType.FLOAT:
                feat[field] = feat[field].fillna(feat[field].mean())
            else:
                empty = np.array([], dtype=np.int64 if kind == FeatureType.TOKEN_SEQ else np.float64)
                feat[field] = [empty if isinstance(value, float) else value for value in feat[field]]


@patch(
    f"{DATASET}._load_feat",
    name="columns_of_files",
    kind="fix",
    why="RecBole fills empty sequences in place, which has no effect in pandas 3, so loading them fails. Files "
    "without rows fail, too, and the error for a non-numeric value names neither file nor row.",
    wraps=True,
)
def load_columns(load_feat: Callable[..., Any]) -> Callable[..., Any]:
    """Run RecBole's code with a ``pd.read_csv`` that returns sequence columns without missing values."""

    def read_csv(*args: Any, **kwargs: Any) -> pd.DataFrame:
        table = pd.read_csv(*args, **kwargs)
        for column in table.columns:
            if column.endswith(("_seq",)):
                table[column] = table[column].fillna("")
        return table

    longest = functools.partial(max, default=0)
    loader = with_globals(load_feat, pd=SimpleNamespace(read_csv=read_csv), max=longest)

    def _load_feat(self: "Dataset", filepath: str, source: object) -> pd.DataFrame | None:
        with warnings.catch_warnings():  # pandas warns about RecBole's fillna, which has no effect any more
            for category in (FutureWarning, getattr(pd.errors, "ChainedAssignmentError", FutureWarning)):
                warnings.filterwarnings("ignore", message="[^.]*chained assignment", category=category)
            try:
                table = loader(self, filepath, source)
            except ValueError as error:
                why = _no_number(self, filepath, source)
                if why is None:
                    raise
                raise LongInterestError(why) from error
        if table is not None and not _all_finite(table):
            raise LongInterestError(_no_number(self, filepath, source) or f"{filepath} has an infinite number.")
        return table

    return _load_feat


def _no_number(dataset: "Dataset", path: str, source: object) -> str | None:
    """Error message about the first non-numeric value in the loaded columns; None if all values are numbers."""
    separator, encoding = dataset.config["field_separator"], dataset.config["encoding"]
    wanted, unwanted = dataset._get_load_and_unload_col(source)
    with Path(path).open(encoding=encoding) as file:
        columns = file.readline().rstrip("\n").split(separator)
    names = {column: column.partition(":")[0] for column in columns}
    columns = [
        column
        for column, name in names.items()
        if (wanted is None or name in wanted) and (unwanted is None or name not in unwanted)
    ]
    why = find_no_number(path, columns, separator, encoding, dataset.config["seq_separator"])
    return f"{path} cannot be read: {why}" if why else None


def _all_finite(table: pd.DataFrame) -> bool:
    """Whether a table has no infinite numbers. Missing numbers in plain columns are allowed, and filled later."""
    for column in table:
        values = table[column]
        if values.dtype == np.float64 and np.isinf(values.to_numpy()).any():
            return False
        lists = values.dtype == object and len(values) and isinstance(values.iloc[0], np.ndarray)
        if lists and any(value.dtype == np.float64 and not np.isfinite(value).all() for value in values):
            return False
    return True


@patch(
    f"{DATASET}._load_inter_feat",
    kind="feature",
    why="RecBole reads events only from NAME.inter, but prepare writes large logs as NAME.inter.parquet.",
    wraps=True,
)
def parquet_events(original: Callable[..., None]) -> Callable[..., None]:
    """Read a Parquet file of events, if the data set has one, into the table that RecBole makes of ``.inter``."""

    def _load_inter_feat(self: "Dataset", token: str, dataset_path: str) -> None:
        from recbole_longinterest.data.parquet_reader import load_parquet  # late: it imports pyarrow

        file = None if self.benchmark_filename_list else events_file(Path(dataset_path), token)
        if file is None or not is_parquet(file):
            original(self, token, dataset_path)
            return
        table = load_parquet(self, str(file))
        if table is not None:  # RecBole's own data sets work on strings
            table = table.astype(dict.fromkeys(table.select_dtypes("category"), object))
        self.inter_feat = table

    return _load_inter_feat


@patch(
    f"{DATASET}._set_label_by_threshold",
    name="labels",
    kind="fix",
    why="If threshold is not set, metrics and models that need labels fail with KeyError: 'label', some only after "
    "training.",
    wraps=True,
)
def labels(original: Callable[["Dataset"], None]) -> Callable[["Dataset"], None]:
    """Raise an error at loading if a metric or model needs labels and the data has no labels."""

    def _set_label_by_threshold(self: "Dataset") -> None:
        from recbole_longinterest.data.log_checks import check_labels  # late: it imports RecBole's evaluator

        original(self)
        check_labels(self)

    return _set_label_by_threshold


@patch(
    f"{DATASET}._remap",
    f"{DATASET}._normalize",
    f"{DATASET}._discretization",
    "recbole.data.dataset.kg_dataset:KnowledgeBasedDataset._reset_ent_remapID",
    kind="fix",
    why="In pandas 3, column.agg(len) is one number instead of one length per value, so loading a sequence column "
    "fails.",
    wraps=True,
)
def sequence_lengths(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run RecBole's code with a ``len`` that returns one length per value."""

    def length(values: Any) -> Any:  # noqa: ANN401
        return values.map(len) if isinstance(values, pd.Series) else len(values)

    return _without_agg_warning(with_globals(method, len=length))


@patch(
    "recbole.data.dataset.sequential_dataset:SequentialDataset._benchmark_presets",
    name="benchmark_histories",
    kind="fix",
    why="With benchmark_filename, RecBole finds histories only if ITEM_ID_FIELD is item_id, and gets wrong lengths in "
    "pandas 3. It does not cut histories to MAX_ITEM_LIST_LENGTH, so models with position embeddings raise an "
    "IndexError.",
)
def _benchmark_presets(self: "SequentialDataset") -> None:
    """See :func:`recbole_longinterest.data.benchmark_histories.set_histories`."""
    from recbole_longinterest.data.benchmark_histories import set_histories  # late: only benchmark files need it

    set_histories(self)


@patch(
    f"{DATASET}._dataframe_to_interaction",
    kind="fix",
    why="Tensors share a table's memory, which is read-only in pandas 3, so torch gives a warning in every run.",
    wraps=True,
)
def writable_columns(original: Callable[..., "Interaction"]) -> Callable[..., "Interaction"]:
    """Copy the columns first."""

    def _dataframe_to_interaction(self: "Dataset", data: pd.DataFrame) -> "Interaction":
        return original(self, {name: SimpleNamespace(values=np.array(data[name].values)) for name in data})

    return _dataframe_to_interaction
