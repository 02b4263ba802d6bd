"""Files beside checkpoints that hold events or ids of users: reports, quarantine files, data set caches."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from recbole_longinterest.common.json_text import parse_json
from recbole_longinterest.plugin.runs.checkpoints import CheckpointError, read_plain
from recbole_longinterest.training.forget.lineage import Member

CACHES = ("{name}-*Dataset.pth", "{name}-for-*-dataloader.pth")  # RecBole's names of saved data sets and loaders


def caches_of(member: Member) -> list[Path]:
    """List the saved data sets and loaders beside a checkpoint."""
    files = {file for pattern in CACHES for file in member.path.parent.glob(pattern.format(name=member.dataset))}
    return sorted(file for file in files if file.is_file() and _is_cache(file))


def _is_cache(file: Path) -> bool:
    """Whether a file is a cache of this plugin; other files are never removed."""
    try:
        content = read_plain(file, "cache")
    except CheckpointError:
        return False
    return isinstance(content, dict) and str(content.get("format", "")).startswith("recbole_longinterest cache")


def scrubbed(text: str, users: Collection[str]) -> str | None:
    """Return an intake report without the entries of the given users; None if it does not mention them."""
    report = parse_json(text)
    clean = _without(report, users)
    return None if clean == report else json.dumps(clean, indent=1, ensure_ascii=False) + "\n"


def _without(value: Any, users: Collection[str]) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        kept = {key: _without(part, users) for key, part in value.items() if key != "users" or isinstance(part, dict)}
        if isinstance(value.get("users"), list):
            kept["users"] = [user for user in value["users"] if user not in users]
        return kept
    if isinstance(value, list):
        named = [isinstance(part, dict) and part.get("user") in users for part in value]
        return [_without(part, users) for part, names in zip(value, named, strict=True) if not names]
    return value
