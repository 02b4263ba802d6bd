"""The command `recbole-li verify`: check that an exported folder or a checkpoint is unchanged."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from recbole_longinterest.cli.arguments import Commands, add_command, refuse_settings
from recbole_longinterest.cli.outcome import ProblemsFound
from recbole_longinterest.common.errors import LongInterestError


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "verify",
        "check that a model folder or a checkpoint is complete and unchanged",
        "For a model folder, check every file's SHA-256, the signature, the weights and a dozen recommendations. For a "
        "checkpoint, check the checksum and the weights. The exit code is 1 if something is wrong or has no checksum.",
    )
    parser.add_argument("path", metavar="FOLDER|CHECKPOINT", help="made by recbole-li export, or by a training")
    parser.add_argument("--trusted-key", metavar="KEY", help="PEM file of the public key that signed the folder")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Check a folder or a file.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        A description of the folder or file.

    Raises:
        ProblemsFound: if it is damaged or changed, or has no checksum.
        LongInterestError: if the folder or file does not exist.
    """
    refuse_settings("verify", settings)
    path = Path(args.path)
    if not path.exists():
        raise LongInterestError(f"There is no folder or file {path} to verify.")
    if path.is_file() and args.trusted_key:
        raise LongInterestError("Only model folders are signed. Leave --trusted-key out for a checkpoint.")
    try:
        lines = _folder(path, args.trusted_key) if path.is_dir() else _file(path)
    except (ValueError, OSError) as error:
        raise ProblemsFound(f"{path}: wrong\n{error}\n") from error
    return f"{path}: intact\n" + "".join(f"{line}\n" for line in lines)


def _folder(folder: Path, trusted_key: str | None) -> list[str]:
    # saves start-up time: these import torch
    from recbole_longinterest.common.packages import MissingPackage
    from recbole_longinterest.serving.canaries import ask_canaries
    from recbole_longinterest.serving.engines import Engine, TorchEngine, engines_in
    from recbole_longinterest.serving.index import load_index
    from recbole_longinterest.serving.model_folder import check_place, read_folder
    from recbole_longinterest.serving.recommender import Recommender

    served = read_folder(folder, trusted_key=trusted_key)
    manifest = served.manifest
    if manifest is None:
        raise LongInterestError(
            "It has no checksums, because an earlier version exported it, so it cannot be verified. Export the "
            "checkpoint again."
        )
    check_place(folder)  # raises an error for files that do not belong to the model
    lines = [f"{name}: {size:,} bytes, sha256 {digest}" for name, (size, digest) in sorted(manifest.files.items())]
    engines: list[type[Engine]] = [TorchEngine, *engines_in(folder)]
    for engine in engines:
        try:
            asked = ask_canaries(Recommender(served, engine))
        except MissingPackage as error:
            lines.append(f"{engine.__name__}: not checked ({error})")
        else:
            lines.append(f"{engine.__name__}: {asked} recommendations, all finite")
    try:
        index = load_index(Recommender(served))
    except MissingPackage as error:
        lines.append(f"index of items: not checked ({error})")
    else:
        lines += [] if index is None else [f"index of items: {index.kind}, {index.n_items:,} items, finds the best"]
    parent = manifest.parent or {}
    trust = "by the trusted key" if trusted_key else "not checked, give --trusted-key" if manifest.signed else "no"
    return [
        *lines,
        f"checkpoint: {parent.get('checkpoint', 'unknown')}, sha256 {parent.get('sha256', 'unknown')}",
        f"written by: {', '.join(f'{name} {number}' for name, number in manifest.versions.items())}",
        f"signed: {trust}",
        f"model: {served.fingerprint}, {len(served.items.tokens) - 1:,} items",
    ]


def _file(path: Path) -> list[str]:
    # saves start-up time: these import torch and RecBole
    from recbole_longinterest.nn.finite import check_finite
    from recbole_longinterest.plugin.runs.checkpoints import has_checksum, load_checkpoint, read_plain
    from recbole_longinterest.plugin.runs.dataset_cache import FORMAT

    content = read_plain(path, "checkpoint")
    if not has_checksum(path):
        raise LongInterestError("It has no checksum, because an earlier version wrote it, so it cannot be verified.")
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return [f"saved data of {content.get('class')}", "checksum: ok"]
    state = load_checkpoint(path)
    check_finite(state["state_dict"], f"The checkpoint {path}")
    config, tensors = state["config"], state["state_dict"]
    return [
        f"checkpoint of {config['model']} on {config['dataset']}, epoch {state.get('epoch')}",
        f"weights: {len(tensors)} tensors, all finite",
        f"updates: {len(config['lineage'] or [])}",
        "checksum: ok",
    ]
