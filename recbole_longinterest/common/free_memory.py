"""Give freed memory back to the system."""

import sys

M_MMAP_THRESHOLD = -3  # of glibc's mallopt
LARGE = 2**20  # bytes


def return_large_blocks() -> None:
    """From now on, return every freed block of 1 MB or more to the system; does nothing where malloc is not glibc's.

    By default, glibc keeps freed blocks of up to 32 MB for later use. Tensors of ever different sizes do not fit into
    one another's places, so a process that frees everything after each step can still grow by gigabytes (``man
    mallopt``). The price is that new blocks must be cleared by the system, so call this in a process of its own.
    """
    if sys.platform != "linux":
        return
    import ctypes  # late: not needed for --help

    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE)
