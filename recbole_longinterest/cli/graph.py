"""The command `recbole-li graph`: train vectors of a knowledge graph and write them in RecBole's file format."""

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
        "Train vectors of the knowledge graph in a data set's .kg file. Write a copy of the data set that contains "
        "these vectors and the settings to load them; GRU4RecKG and KSR run on this copy. Run other models on the "
        "original data set, which has the same events. LongInterest reads the graph itself, with item_sources and "
        "kind: graph.",
        "Every other setting is given as --key=value, as with run.",
        stopped="stopped; run the same command again to continue from the last saved state.",
    )
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument(
        "--output", "-o", type=Path, required=True, metavar="DIR", help="parent folder of the new data set's folder"
    )
    parser.add_argument("--name", help="name of the new data set (default: DATASET-graph)")
    parser.add_argument(
        "--graph-model",
        choices=("TransE", "DistMult", "ComplEx"),
        default="TransE",
        help="model of the graph; TransE suits KSR, which also adds relation vectors to entity vectors (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--dim",
        type=count,
        default=64,
        metavar="N",
        help="size of a vector; if it is not 64, give the models the same number: --embedding_size for GRU4RecKG, "
        "--kg_embedding_size for KSR (default: %(default)s)",
    )
    parser.add_argument(
        "--graph-epochs", type=count, default=100, metavar="N", help="maximum number of epochs (default: %(default)s)"
    )
    parser.add_argument(
        "--graph-seed", type=int, default=0, metavar="N", help="seed of the graph's training (default: %(default)s)"
    )
    add_config_files(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Write the data set.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: other settings, each as ``--key=value``.

    Returns:
        A summary of the new data set, and the next commands.
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
