"""The receipt of an erasure.

It lists the files from which the users were removed, and nothing that would identify the users: no ids, no hashes of
ids (a guess could be hashed and compared, and a salt would have to be stored), no event count of a single user, and no
hash of a file from before the erasure (a guess could be inserted and compared).
"""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from recbole_longinterest.common.files import file_hash
from recbole_longinterest.common.version import __version__

FORMAT = "recbole_longinterest erasure 1"


def receipt_text(
    name: str,
    users: int,
    rewritten: Mapping[Path, Path],
    checkpoints: Mapping[Path, str],
    removed: list[Path],
    root: Path,
) -> str:
    """Return the receipt as JSON.

    Args:
        name: random name of the receipt.
        users: number of users given.
        rewritten: for each rewritten file, the file with its new content.
        checkpoints: what was done with each checkpoint.
        removed: deleted caches and other files.
        root: paths below this folder are shown relative to it.
    """

    def shown(path: Path) -> str:
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    content = {
        "format": FORMAT,
        "receipt": name,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "made_by": f"recbole-longinterest {__version__}",
        "users": users,
        "rewritten": {shown(file): file_hash(draft) for file, draft in rewritten.items()},
        "checkpoints": {shown(file): done for file, done in checkpoints.items()},
        "removed": [shown(file) for file in removed],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
