"""The card of an exported model: a README.md with description, metrics, intended use and limits."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.json_text import JsonError, parse_json
from recbole_longinterest.common.printable import printable
from recbole_longinterest.nn.state_keys import tuned_in
from recbole_longinterest.serving.served import Served

CARD = "README.md"
PROTOCOLS = {
    "validation": "Validation, the metric that chose the epoch",
    "native": "Test, native: all items are ranked",
    "seen-masked": "Test, seen-masked: without items that the user has already seen",
}
WHAT = (
    "A sequential recommender: it reads a user's events, with texts, ratings, behaviours and times if the data has "
    "them, and scores every item of its catalogue."
)
LIMITS = (
    "It knows only the items of its catalogue; new items can be added by their texts. It may work better for popular "
    "items and large user groups than for others: check this before you use it. The metrics are measured on logged "
    "data and do not show how people react to the recommendations. It is not made for decisions about people, such as "
    "credit, work or health. The terms of the data also apply to the model."
)
HEAD = """---
library_name: recbole-longinterest
tags: [recommendation, sequential-recommendation, recbole]
---

"""


def model_card(served: Served) -> str:
    """Generate the card of a model.

    Args:
        served: the model; ``about["metrics"]`` has its metrics by protocol, see :data:`PROTOCOLS`.

    Returns:
        Markdown, with the front matter of model hubs.
    """
    about, items = served.about, served.items
    dataset = _code(about.get("dataset") or "an unknown data set")
    tuned = ", tuned with the model" if tuned_in(served.weights) else ""
    rows = [
        ("data set", dataset),
        ("items", f"{len(items.tokens) - 1:,}, {sum(map(bool, items.titles)):,} with a title"),
        ("sources of an event", ", ".join(_code(spec.name) for spec in served.sources) or "the item"),
        ("text encoder", _code((about.get("text") or {}).get("text_encoder") or "none") + tuned),
        ("history", "whole" if served.history_limit is None else f"the last {served.history_limit} events"),
        ("weights", served.precision),
        ("made by", _code(about.get("made_by") or "unknown")),
        ("checkpoint", _code((served.parent or {}).get("checkpoint") or "unknown")),
        ("updates since the training", str(len(about.get("lineage") or []))),
    ]
    parts = [
        f"# LongInterest on {dataset}",
        WHAT,
        "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]),
        "## Use",
        "```python\nfrom recbole_longinterest import Event, Recommender\n\n"
        'model = Recommender.from_pretrained("this folder, or its name on a hub")\n'
        f"model.recommend([Event({json.dumps(items.tokens[1] if len(items.tokens) > 1 else 'item')})], k=10)\n```",
        "## Figures",
        _figures(about.get("metrics") or {}),
        "## Settings",
        "```json\n" + json.dumps(asdict(served.options), indent=1, ensure_ascii=False) + "\n```",
        "## Intended use and limits",
        f"It recommends items of {dataset} to people whose events are like those of the training. {LIMITS}",
    ]
    return HEAD + "\n\n".join(parts) + "\n"


def read_metrics(file: Path) -> dict[str, dict[str, float]]:
    """Read the metrics of a model from a JSON file, see :func:`check_metrics`.

    Raises:
        LongInterestError: for a file that is missing, is not JSON, or has another format.
    """
    try:
        return check_metrics(parse_json(file.read_bytes()))
    except (OSError, JsonError) as error:
        raise LongInterestError(f"{file} cannot be read as metrics of a model: {error}. It must be JSON.") from error


def check_metrics(metrics: object) -> dict[str, dict[str, float]]:
    """Check the metrics of a card by protocol; a `result.json` of `recbole-li compare` has them under ``metrics``.

    Raises:
        LongInterestError: for another format, protocol or value.
    """
    if isinstance(metrics, Mapping) and isinstance(metrics.get("metrics"), Mapping):
        metrics = metrics["metrics"]
    sound = isinstance(metrics, Mapping) and all(
        name in PROTOCOLS
        and isinstance(known, Mapping)
        and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known.values())
        for name, known in metrics.items()
    )
    if not sound:
        raise LongInterestError(
            f"Metrics of a model card must be numbers by protocol ({', '.join(PROTOCOLS)}) and metric, such as "
            f'{{"native": {{"ndcg@10": 0.14}}}}; got {str(metrics)[:80]}. A result.json of recbole-li compare has them.'
        )
    assert isinstance(metrics, Mapping)
    return {
        str(name): {str(metric): float(value) for metric, value in known.items()} for name, known in metrics.items()
    }


def _figures(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """List the metrics of each protocol, or that they were not measured."""
    lines = []
    for name, title in PROTOCOLS.items():
        known = {metric: value for metric, value in (metrics.get(name) or {}).items() if math.isfinite(value)}
        said = ", ".join(f"{printable(metric)} {value:.4f}" for metric, value in known.items())
        lines.append(f"- {title}: {said or 'not measured'}.")
    return "\n".join(lines)


def _code(text: object) -> str:
    """Format untrusted text as inline code, so that it is not interpreted as Markdown."""
    return "`" + printable(str(text)).replace("`", "'").replace("|", "/") + "`"
