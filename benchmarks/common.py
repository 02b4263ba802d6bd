"""Helpers of several benchmarks: ranks and NDCG, arguments, results cached in files, child processes, figures."""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_longinterest.common.files import write_text

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure
    from recbole.config.configurator import Config

    from recbole_longinterest.serving.recommender import Recommender

# --- figures ---------------------------------------------------------------------------------------------------------


def ndcg(rank: Any, k: int = 10) -> np.ndarray:  # noqa: ANN401 - array-like
    """NDCG@k of rows with one target each.

    Args:
        rank: rank of each target, from 1; infinite if it is not ranked, NaN for rows to leave out. [n]
        k: length of the list.

    Returns:
        float64 [n]; NaN stays NaN.
    """
    rank = np.asarray(rank, dtype=np.float64)
    return np.where(np.isnan(rank), np.nan, np.where(rank <= k, 1 / np.log2(rank + 1), 0.0))


def ranks_among(scores: "torch.Tensor", wanted: "torch.Tensor") -> "torch.Tensor":
    """Ranks from 1 of the wanted items; an item with the same score counts half.

    Args:
        scores: scores of all ranked items, including the wanted ones, [..., N].
        wanted: scores of the wanted items, [..., 1].

    Returns:
        [...].
    """
    above, equal = (scores > wanted).sum(dim=-1), (scores == wanted).sum(dim=-1)
    return 1 + above + 0.5 * (equal - 1)


# --- the command line ------------------------------------------------------------------------------------------------


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser whose help is the script's docstring."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_data_arguments(parser: argparse.ArgumentParser, dataset: str, output: str) -> None:
    """Add ``--dataset``, ``--data_path`` and ``--output``, with their defaults."""
    parser.add_argument("--dataset", default=dataset)
    parser.add_argument("--data_path", help="folder that contains the data set's folder")
    parser.add_argument("--output", type=Path, default=Path(output))


def data_folder(given: str | None) -> Path:
    """Folder above the data sets: the given one, or ``../shared/data`` beside the checkout."""
    folder = Path(given) if given else Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        raise SystemExit(f"There is no folder {folder} with data sets. Give --data_path DIR.")
    return folder


def say(text: str) -> None:
    """Print without buffering."""
    sys.stdout.write(text)
    sys.stdout.flush()


# --- models ----------------------------------------------------------------------------------------------------------


def make_quiet_config(model: str, dataset: str, settings: Mapping[str, Any]) -> "Config":
    """Make RecBole's config of a model, ignoring the script's own arguments."""
    from recbole_longinterest.plugin.fixes.command_line import command_line
    from recbole_longinterest.training.settings import make_config

    with command_line(()):
        return make_config(model, dataset, config_dict={"show_progress": False, "state": "ERROR", **settings})


def serve(checkpoint: Path, folder: Path) -> "Recommender":
    """Export a checkpoint to a folder and load the model."""
    from recbole_longinterest.serving.recommender import Recommender
    from recbole_longinterest.training.export import export_checkpoint

    export_checkpoint(checkpoint, folder)
    return Recommender.load(folder)


# --- cached work, and child processes --------------------------------------------------------------------------------


def cell(path: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read a result from its file, or compute and write it."""
    if not path.is_file():
        result = work()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(result, indent=1))
    return json.loads(path.read_text(encoding="utf-8"))


def in_process(script: str, words: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    """Run a script in a fresh process; returns the JSON of its last line."""
    done = subprocess.run([sys.executable, script, *words], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# --- results ---------------------------------------------------------------------------------------------------------


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], names: Sequence[str] | None = None) -> None:
    """Write rows as CSV; the header is ``names``, or the keys of the first row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(names or rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_between(path: Path, marks: tuple[str, str], table: str) -> None:
    """Write a table between its two marks in a file, such as a page of the docs.

    Args:
        path: the file.
        marks: line before and line after the table.
        table: whole lines.
    """
    text = path.read_text(encoding="utf-8")
    begin, end = marks
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"{path} must have {begin} and {end} once each, for the table between them.")
    head, rest = text.split(begin)
    path.write_text(f"{head}{begin}\n{table}{end}{rest.split(end)[1]}", encoding="utf-8")


def make_figure(width: float, height: float) -> tuple["Figure", Any]:
    """Make a figure with one plot, size in inches, without opening a window; returns it with its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def peak_bytes(work: Callable[[], Any]) -> int:
    """Peak memory that torch allocates during some work, beyond what it had before."""
    import torch  # late: not every benchmark needs it in this process

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    held = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak
