"""What a knowledge graph adds to LongInterest, with random vectors of the same shape for the same items as control.

    uv run benchmarks/knowledge_graph.py --dataset ml-100k --seeds 3 --output graph

Trains LongInterest with each of six choices of item vectors: the text alone, with graph vectors, with random vectors,
graph vectors alone, random vectors alone, and neither. Random vectors have no information, but they tell the network
which items are linked and give it more parameters; a gain of the graph counts only beyond theirs. Prints the mean
NDCG@10 over the seeds, native, of the epoch that validation chooses. Finished runs in --output are reused.
"""

import os
import statistics
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common import add_data_arguments, cell, make_parser, make_quiet_config
from recbole.config import Config

from recbole_longinterest.data.graph.triples import graph_files, read_graph
from recbole_longinterest.training import pipeline

METRIC = "ndcg@10"


def main() -> None:
    """Train, and print and write a table."""
    parser = make_parser(__doc__)
    add_data_arguments(parser, "ml-100k", "graph")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 2020 on")
    parser.add_argument("--epochs", type=int, help="maximum number of epochs (default: the model's)")
    parser.add_argument("--dim", type=int, default=64, help="size of a vector")
    parser.add_argument("--graph-epochs", type=int, default=100, help="maximum number of epochs of the graph's vectors")
    args = parser.parse_args()
    output = args.output / args.dataset
    given: dict[str, Any] = {"data_path": args.data_path} if args.data_path else {}
    file = output / "random.npy"
    linked = write_random(make_quiet_config("LongInterest", args.dataset, given), file, args.dim)
    given |= {"epochs": args.epochs} if args.epochs else {}
    given |= {"valid_metric": METRIC.upper(), "checkpoint_dir": str(output / "checkpoints")}
    graph = {"kind": "graph", "dim": args.dim, "epochs": args.graph_epochs}
    lines = [
        f"{args.dataset}: {linked} linked items, vectors of {args.dim} numbers, {args.seeds} seeds, {METRIC}, native",
        "",
        "| item vectors | validation | test |",
        "|---|---|---|",
    ]
    for name, settings in choices(graph, file, args.dim).items():
        found = [
            cell(
                output / f"{name.replace(' ', '-')}-{seed}.json",
                lambda seed=seed, settings=settings: trained(args.dataset, {**given, **settings, "seed": seed}),
            )
            for seed in range(2020, 2020 + args.seeds)
        ]
        valid, test = (statistics.mean(one[part] for one in found) for part in ("valid", "test"))
        lines.append(f"| {name} | {valid:.4f} | {test:.4f} |")
    text = "\n".join([*lines, ""])
    (output / "graph.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def choices(graph: dict[str, Any], random: Path, dim: int) -> dict[str, dict[str, Any]]:
    """Settings of each row of the table.

    Args:
        graph: settings of the source of graph vectors.
        random: file of the random vectors.
        dim: columns of both after whitening.
    """
    graph_alone = {"item_sources": {"graph": {**graph, "width": dim}}}
    random_alone = {"item_sources": {"random": {"kind": "vectors", "file": str(random.resolve()), "width": dim}}}
    no_text = {"text_features": False}
    return {
        "text": {},
        "text and graph": graph_alone,
        "text and random": random_alone,
        "graph": {**graph_alone, **no_text},
        "random": {**random_alone, **no_text},
        "neither": no_text,
    }


def write_random(config: Config, file: Path, dim: int) -> int:
    """Write a standard normal vector for each item that has a graph vector, and the items' tokens.

    Args:
        config: config of the data set.
        file: the ``.npy`` file to write; the tokens are in a ``.txt`` file of the same name.
        dim: size of a vector.

    Returns:
        The number of items.
    """
    graph = read_graph(config, *graph_files(config))
    tokens = ["", *graph.links]
    rows, _ = graph.rows_of(tokens)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, np.random.default_rng(0).standard_normal((len(rows), dim), dtype=np.float32))
    file.with_suffix(".txt").write_text("".join(f"{tokens[row]}\n" for row in rows), encoding="utf-8")
    return len(rows)


def trained(dataset: str, settings: dict[str, Any]) -> dict[str, float]:
    """Train with these settings; returns the metric on the validation and the test part."""
    done = pipeline.run(make_quiet_config("LongInterest", dataset, settings))
    return {"valid": float(done.best_valid_result[METRIC]), "test": float(done.test_result[METRIC])}


if __name__ == "__main__":
    main()
