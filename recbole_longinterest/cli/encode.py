"""The command `recbole-li encode`: fill the text cache before a run."""

import argparse
from collections.abc import Sequence

from recbole_longinterest.cli.arguments import (
    Commands,
    add_command,
    add_config_files,
    config_files_of,
    refuse_without_ray,
    settings_of,
)
from recbole_longinterest.common.packages import require_ray


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "encode",
        "encode the items' texts before a run",
        "Encode the texts of a data set's .item file into the cache, where every later run finds them. "
        "Ctrl-C keeps what is done; run the same command again to continue.",
        "Every other setting is given as --key=value, as with run.",
        stopped="stopped; what is encoded is kept. Run the same command again to continue.",
    )
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument(
        "--encoder", "-e", help="text encoder: minilm, a model folder or a hub name (default: the setting text_encoder)"
    )
    parser.add_argument(
        "--ray", action="store_true", help="encode with all cores and GPUs, on this machine or on a cluster (--address)"
    )
    parser.add_argument("--address", metavar="RAY", help="a Ray cluster, as 'auto' or host:port (default: a local Ray)")
    add_config_files(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Fill the text cache.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: other settings, each as ``--key=value``.

    Returns:
        The number of encoded texts, and the folder of the cache.
    """
    settings = settings_of(args, settings)
    refuse_without_ray(args, ["address"])
    # saves start-up time: these import torch and RecBole
    from recbole_longinterest.plugin.fixes.command_line import command_line
    from recbole_longinterest.training.encode import encode_items
    from recbole_longinterest.training.settings import make_config

    chosen = {"text_encoder": args.encoder} if args.encoder else {}
    with command_line(settings):
        config = make_config("LongInterest", args.dataset, config_files_of(args), chosen)
    if args.ray:
        require_ray("recbole-li encode --ray")
        from recbole_longinterest.plugin.ray_session import ray_session  # saves start-up time: ray

        with ray_session(args.address):
            from recbole_longinterest.experiments.tuning.encoding import ClusterEncoder

            done = encode_items(config, ClusterEncoder)
    else:
        done = encode_items(config)
    new = done.filled.distinct - done.filled.known
    return (
        f"{done.items} items with text ({done.filled.distinct} distinct): {done.filled.known} were in the cache, "
        f"{new} encoded in {done.seconds:.1f} s.\ncache: {done.filled.folder}\n"
    )
