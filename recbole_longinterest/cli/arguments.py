"""Arguments that several commands have, and values that argparse has no type for."""

import argparse
from pathlib import Path


def add_long_work(parser: argparse.ArgumentParser) -> None:
    """Add what a search and a comparison share: where results go, where data and settings come from."""
    parser.add_argument("--output", "-o", type=Path, metavar="DIR", required=True, help="folder of all results")
    parser.add_argument("--data_path", metavar="DIR", help="folder above the data sets'")
    parser.add_argument("--config_files", default="", help="yaml files, separated by spaces; later ones win")
    parser.add_argument("--quiet", action="store_true", help="print nothing but the results and errors")


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; got {text!r}")
    return int(text)
