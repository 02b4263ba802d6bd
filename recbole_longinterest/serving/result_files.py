"""Write recommendations as CSV and JSON lines."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recbole_longinterest.common.printable import printable_cell, printable_json
from recbole_longinterest.serving.results import Recommendation

if TYPE_CHECKING:
    import pandas as pd


def to_csv(table: "pd.DataFrame", raw: bool = False) -> str:
    """Format recommendations as CSV with a header.

    Args:
        table: table of recommendations.
        raw: write texts unchanged. Otherwise control characters are escaped, and a text that a spreadsheet would read
            as a formula gets a leading ``'``; numbers, and texts that are numbers, stay unchanged.
    """
    if not raw:
        table = table.rename(columns=printable_cell)
        texts = [name for name in table if table[name].dtype.kind not in "biuf"]
        table = table.assign(**{name: table[name].astype(object).map(printable_cell) for name in texts})
    return table.to_csv(index=False, lineterminator="\n", float_format="%.6f")


def to_json_lines(found: Mapping[Any, Recommendation]) -> str:
    """Format recommendations as JSON lines, one line per user, with the skipped items."""
    lines = []
    for user, recommendation in found.items():
        content = recommendation.to_dict()
        for item in content["items"]:
            if item["why"] is None:
                del item["why"]
        lines.append(printable_json(json.dumps({"user": user, **content}, ensure_ascii=False)))
    return "".join(f"{line}\n" for line in lines)
