"""The command `recbole-li graph`: vectors of a knowledge graph in the files that RecBole's models read."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from recbole_longinterest.cli.arguments import (
    Commands,
    add_command,
    add_config_files,
    config_files_of,
    count,
    settings_of,
)


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "graph",
        "write vectors of a knowledge graph for RecBole's GRU4RecKG and KSR (extra graph)",
        "Train vectors of a data set's .kg file and write a copy of the data set with them and the settings that load "
        "them, on which GRU4RecKG and KSR run. Other models run on the data set itself, whose log is the same; "
        "LongInterest reads the graph by item_sources with kind: graph.",
        "Every other setting is given as --key=value, as with run.",
        stopped="stopped; the same command goes on from the last state that was written.",
    )
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument(
        "--output", "-o", type=Path, required=True, metavar="DIR", help="folder above the new data set's"
    )
    parser.add_argument("--name", help="of the new data set (default: NAME-graph)")
    parser.add_argument(
        "--graph-model",
        choices=("TransE", "DistMult", "ComplEx"),
        default="TransE",
        help="KSR adds the vectors of relations to those of entities, as TransE does (default: %(default)s)",
    )
    parser.add_argument(
        "--dim",
        type=count,
        default=64,
        metavar="N",
        help="numbers of a vector; embedding_size of GRU4RecKG and kg_embedding_size of KSR (default: %(default)s)",
    )
    parser.add_argument("--graph-epochs", type=count, default=100, metavar="N", help="at most (default: %(default)s)")
    parser.add_argument("--graph-seed", type=int, default=0, metavar="N", help="of the vectors (default: %(default)s)")
    add_config_files(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Write the data set.

    Args:
        args: of :func:`add_arguments`.
        settings: further arguments, ``--key=value`` each.

    Returns:
        What was written, and the next command.
    """
    settings = settings_of(args, settings)
    # saves start-up time: these import torch and RecBole
    from recbole_longinterest.data.graph.settings import read_settings
    from recbole_longinterest.plugin.fixes.command_line import command_line
    from recbole_longinterest.training.graph_files import write_graph_files
    from recbole_longinterest.training.settings import make_config

    given = {"model": args.graph_model, "dim": args.dim, "epochs": args.graph_epochs, "seed": args.graph_seed}
    chosen = read_settings(given, lambda key: f"--{key}" if key == "dim" else f"--graph-{key}")
    with command_line(settings):
        config = make_config("LongInterest", args.dataset, config_files_of(args))
    name = args.name or f"{config['dataset']}-graph"
    done = write_graph_files(config, args.output, name, chosen)
    return (
        f"{done.folder}: {done.linked} of {done.items} items have a vector.\n"
        f"recbole-li run --model GRU4RecKG --dataset {name} --data_path {args.output}\n"
        f"recbole-li run --model KSR --dataset {name} --data_path {args.output}\n"
    )
