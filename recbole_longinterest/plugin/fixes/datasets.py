"""Patches of RecBole's data sets for pandas 3: missing values, sequences, memory that cannot be written."""

import functools
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from recbole.utils import FeatureType

from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.same_code import with_globals

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

DATASET = "recbole.data.dataset.dataset:Dataset"


def _without_agg_warning(method: Callable[..., Any]) -> Callable[..., Any]:
    """Pandas 2.3 gives a length per value and warns that it will not."""

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
    why="It fills a column of a table in place, which pandas 3 ignores: NaN becomes a wild id or a NaN score.",
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
    kind="fix",
    why="It fills empty sequences in place, which pandas 3 ignores, then splits each value: NaN has no split.",
    wraps=True,
)
def empty_sequences(load_feat: Callable[..., Any]) -> Callable[..., Any]:
    """RecBole's code with another ``pd``, whose ``read_csv`` gives sequence columns without missing values."""

    def read_csv(*args: Any, **kwargs: Any) -> pd.DataFrame:  # noqa: ANN401
        table = pd.read_csv(*args, **kwargs)
        for column in table.columns:
            if column.endswith(("_seq",)):
                table[column] = table[column].fillna("")
        return table

    loader = with_globals(load_feat, pd=SimpleNamespace(read_csv=read_csv))

    def _load_feat(self: "Dataset", filepath: str, source: object) -> pd.DataFrame | None:
        with warnings.catch_warnings():  # pandas warns of RecBole's own fillna, which has nothing left to fill
            for category in (FutureWarning, getattr(pd.errors, "ChainedAssignmentError", FutureWarning)):
                warnings.filterwarnings("ignore", message="[^.]*chained assignment", category=category)
            return loader(self, filepath, source)

    return _load_feat


@patch(
    f"{DATASET}._remap",
    f"{DATASET}._normalize",
    f"{DATASET}._discretization",
    "recbole.data.dataset.kg_dataset:KnowledgeBasedDataset._reset_ent_remapID",
    "recbole.data.dataset.sequential_dataset:SequentialDataset._benchmark_presets",
    kind="fix",
    why="column.agg(len) is one number in pandas 3, not a length per value: every loaded sequence column fails.",
    wraps=True,
)
def sequence_lengths(method: Callable[..., Any]) -> Callable[..., Any]:
    """RecBole's code with another ``len``."""

    def length(values: Any) -> Any:  # noqa: ANN401
        return values.map(len) if isinstance(values, pd.Series) else len(values)

    return _without_agg_warning(with_globals(method, len=length))


@patch(
    f"{DATASET}._dataframe_to_interaction",
    kind="fix",
    why="It makes tensors over a table's memory, which pandas 3 gives out read-only: torch warns at every run.",
    wraps=True,
)
def writable_columns(original: Callable[..., "Interaction"]) -> Callable[..., "Interaction"]:
    """Copy the columns first."""

    def _dataframe_to_interaction(self: "Dataset", data: pd.DataFrame) -> "Interaction":
        return original(self, {name: SimpleNamespace(values=np.array(data[name].values)) for name in data})

    return _dataframe_to_interaction
