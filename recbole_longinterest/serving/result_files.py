"""Tables of recommendations as text: CSV and JSON lines."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recbole_longinterest.common.printable import printable_cell, printable_json
from recbole_longinterest.serving.results import Recommendation

if TYPE_CHECKING:
    import pandas as pd


def to_csv(table: "pd.DataFrame", raw: bool = False) -> str:
    """Recommendations as CSV with a header.

    Args:
        table: of recommendations.
        raw: write texts as they are. Otherwise control characters are written out, and a text that a spreadsheet would
            take for a formula gets a ``'`` in front; numbers, and texts that are numbers, stay.
    """
    if not raw:
        table = table.rename(columns=printable_cell)
        texts = [name for name in table if table[name].dtype.kind not in "biuf"]
        table = table.assign(**{name: table[name].astype(object).map(printable_cell) for name in texts})
    return table.to_csv(index=False, lineterminator="\n", float_format="%.6f")


def to_json_lines(found: Mapping[Any, Recommendation]) -> str:
    """Recommendations as JSON lines, a user a line, with the skipped items."""
    lines = []
    for user, recommendation in found.items():
        content = recommendation.to_dict()
        for item in content["items"]:
            if item["why"] is None:
                del item["why"]
        lines.append(printable_json(json.dumps({"user": user, **content}, ensure_ascii=False)))
    return "".join(f"{line}\n" for line in lines)
