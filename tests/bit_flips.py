"""Flip single bits of a file, for tests of what notices it."""

import random
from collections.abc import Callable
from pathlib import Path

FLIPS = 200


def unnoticed(file: Path, load: Callable[[], object], flips: int = FLIPS, seed: int = 0) -> list[int]:
    """The bits, by number in the file, whose change ``load`` does not notice.

    Args:
        file: whole; it is so again at the end.
        load: raises ValueError for a damaged file; anything else that it raises is a fault.
        flips: number of bits that are tried, all of them if the file has fewer.
        seed: of the choice of bits.
    """
    whole = file.read_bytes()
    bits = 8 * len(whole)
    chosen = random.Random(seed).sample(range(bits), min(flips, bits))
    found = []
    try:
        for bit in chosen:
            content = bytearray(whole)
            content[bit // 8] ^= 1 << bit % 8
            file.write_bytes(content)
            try:
                load()
            except ValueError:
                continue
            found.append(bit)
    finally:
        file.write_bytes(whole)
    return found
