"""A temporary PostgreSQL cluster with default durability settings."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import say

NOBODY = 65534


@contextmanager
def cluster(folder: Path) -> Iterator[str | None]:
    """Start a cluster, and yield the URL of its database; None if PostgreSQL is not installed.

    Args:
        folder: parent of the cluster's folder, on the disk to measure.
    """
    programs, root = program_folder(), os.geteuid() == 0
    if programs is None or (root and shutil.which("setpriv") is None):
        yield None
        return
    # PostgreSQL does not run as root, and other users cannot enter folders that only root can read.
    folder.chmod(0o755)
    if root and not all(parent.stat().st_mode & 0o001 for parent in folder.resolve().parents):
        say(f"PostgreSQL cannot enter {folder}; its files are in {tempfile.gettempdir()} instead.\n")
        folder = Path(tempfile.gettempdir())
    as_other = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if root else []
    with tempfile.TemporaryDirectory(prefix="postgres", dir=folder) as place:
        if root:
            os.chown(place, NOBODY, NOBODY)

        def do(program: str, *words: str) -> None:
            command = [*as_other, str(programs / program), "-D", f"{place}/data", *words]
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=place)
            if done.returncode:
                raise SystemExit(f"PostgreSQL's {program} failed in {place}: {done.stderr.strip()}")

        do("initdb", "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C")
        options = f"-c listen_addresses='' -c unix_socket_directories='{place}'"
        do("pg_ctl", "-w", "-l", f"{place}/log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://bench@/postgres?host={place}"
        finally:
            do("pg_ctl", "-w", "-m", "fast", "stop")


def program_folder() -> Path | None:
    """Folder of PostgreSQL's programs, which on Debian is not in PATH; None if not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3].zfill(3))
    found += [Path(place) for place in [shutil.which("initdb")] if place]
    return found[-1].parent if found else None
