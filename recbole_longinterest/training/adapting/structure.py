"""The catalogue's structure: items that share a category or brand."""

from collections.abc import Sequence
from pathlib import Path

import scipy.sparse as sp

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.text.adapting.positives import shared_values
from recbole_longinterest.text.reader import read_item_text, values_of


def read_structure(config: Settings, tokens: Sequence[str], columns: Sequence[str]) -> sp.csr_array | None:
    """Weight of the pairs of items that share values of columns of the ``.item`` file.

    Args:
        config: RecBole's.
        tokens: raw item tokens by internal id, the padding first.
        columns: their names; none for no structure.

    Returns:
        [N, N], or None without columns.

    Raises:
        LongInterestError: for a column that the file does not have.
    """
    file = Path(config["data_path"]) / f"{config['dataset']}.item"
    encoding = config["encoding"] or "utf-8"
    kinds = dict(read_header(str(file), config["field_separator"], encoding)) if columns else {}
    missing = [name for name in columns if name not in kinds]
    if missing:
        raise LongInterestError(
            f"--structure must name columns of {file}, which are {', '.join(kinds)}; got {', '.join(missing)}."
        )
    total: sp.csr_array | None = None
    for name in columns:
        cells = read_item_text(
            file,
            config["ITEM_ID_FIELD"],
            [name],
            field_separator=config["field_separator"],
            seq_separator=" ",
            encoding=encoding,
            join="".join,
        )
        values = [values_of(cells.get(token, ""), kinds[name], config["seq_separator"]) for token in tokens]
        pairs = shared_values(values)
        total = pairs if total is None else total + pairs
    return total
