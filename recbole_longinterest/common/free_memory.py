"""Give freed memory back to the system."""

import sys


def return_free_memory() -> None:
    """Give memory that the process has freed back to the system; does nothing where the C library is not glibc.

    glibc keeps freed blocks of up to 32 MB. Tensors of ever different sizes do not fit into one another's blocks, so a
    process that frees everything after each step can still grow by gigabytes (``man malloc_trim``).
    """
    if sys.platform != "linux":
        return
    import ctypes  # late: not needed for --help

    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
