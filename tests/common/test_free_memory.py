"""Large freed blocks go back to the system, although a block behind them is still in use."""

import platform
import subprocess
import sys

import pytest

# After one block of 30 MB was freed, glibc no longer maps smaller ones, and keeps them if a later one is in use.
SCRIPT = """
import os
from pathlib import Path
from recbole_longinterest.common.free_memory import return_large_blocks

def used():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

{call}
block = bytes([1]) * 30_000_000
block = None
before = used()
blocks = [bytes([1]) * 2_000_000 for _ in range(100)]
blocks, kept = None, blocks[-1]
print(used() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed blocks in this way")
@pytest.mark.parametrize("call", ["", "return_large_blocks()"])
def test_only_large_blocks_in_use_stay_in_memory(call: str) -> None:
    code = SCRIPT.format(call=call)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (int(done.stdout) < 20_000_000) == bool(call)
