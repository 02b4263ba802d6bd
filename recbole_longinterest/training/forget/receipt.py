"""The receipt of an erasure.

It says which files hold the users no longer, and nothing from which anybody could tell whose events they were: no id,
no hash made of an id (a guess could be hashed and compared, and a salt would have to be kept), no count of events of a
single user, no hash of a file from before the erasure (a guess could be put back and compared).
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
    """The receipt as JSON.

    Args:
        name: of the receipt, a random one.
        users: number of users that were named.
        rewritten: each rewritten file and where its new content is.
        checkpoints: what was done with each checkpoint.
        removed: caches and other files that were removed.
        root: folder that the names are relative to, if they lie below it.
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
