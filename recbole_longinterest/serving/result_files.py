"""Tables of recommendations as text: CSV and JSON lines."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recbole_longinterest.serving.results import Recommendation

if TYPE_CHECKING:
    import pandas as pd


def to_csv(table: "pd.DataFrame") -> str:
    """Recommendations as CSV with a header."""
    return table.to_csv(index=False, lineterminator="\n", float_format="%.6f")


def to_json_lines(found: Mapping[Any, Recommendation]) -> str:
    """Recommendations as JSON lines, a user a line, with the skipped items."""
    lines = []
    for user, recommendation in found.items():
        content = recommendation.to_dict()
        for item in content["items"]:
            if item["why"] is None:
                del item["why"]
        lines.append(json.dumps({"user": user, **content}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)
