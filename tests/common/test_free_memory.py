"""Freed memory goes back to the system, although a block behind it is still in use."""

import platform
import subprocess
import sys

import pytest

# Blocks of 100 kB are below malloc's threshold for mapping, so glibc keeps them until the last one is freed.
SCRIPT = """
import os
from pathlib import Path
from recbole_longinterest.common.free_memory import return_free_memory

def used():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

blocks = [bytes([1]) * 100_000 for _ in range(2_000)]
blocks, kept = None, blocks[-1]
before = used()
return_free_memory()
print(before - used())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed blocks in this way")
def test_freed_blocks_before_a_used_one_are_returned() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    assert int(done.stdout) > 150_000_000
