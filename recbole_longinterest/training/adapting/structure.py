"""Find pairs of items that share a category, a brand or another value of the ``.item`` file."""

from collections.abc import Sequence
from pathlib import Path

import scipy.sparse as sp

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.text.adapting.positives import shared_values
from recbole_longinterest.text.reader import read_item_text, values_of


def read_structure(config: Settings, tokens: Sequence[str], columns: Sequence[str]) -> sp.csr_array | None:
    """Return the weights of pairs of items that share values in columns of the ``.item`` file.

    Args:
        config: RecBole's config.
        tokens: raw item tokens by internal id; the first one is the padding.
        columns: names of the columns; may be empty.

    Returns:
        Sum of the weights of all columns, [N, N]; None if ``columns`` is empty.

    Raises:
        LongInterestError: if the file lacks a column.
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
