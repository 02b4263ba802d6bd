"""Exported models on a model hub: get one by its name, and put one there. The network is used for these two only."""

from pathlib import Path
from typing import Any

from recbole_longinterest.serving.manifest import MANIFEST, SIGNATURE, ExportError, read_manifest
from recbole_longinterest.serving.model_card import CARD


def pretrained_folder(name: str | Path, revision: str | None = None, endpoint: str | None = None) -> Path:
    """The folder of an exported model: itself if it exists, else a copy from the hub in the hub's cache.

    Args:
        name: a folder, or ``owner/name`` on the hub. A path that does not exist is never looked for on the hub.
        revision: branch, tag or commit on the hub.
        endpoint: address of another hub than huggingface.co.

    Returns:
        The folder. Only the files that its manifest names are fetched.

    Raises:
        ExportError: for a folder that does not exist, a model that the hub does not give, and a revision of a folder.
    """
    if Path(name).is_dir():
        if revision is not None:
            raise ExportError(f"{name} is a folder and has no revision; got {revision!r}. Leave the revision out.")
        return Path(name)
    parts = str(name).split("/")
    if len(parts) != 2 or not all(parts) or parts[0] in (".", "..", "~"):
        raise ExportError(
            f"{name} must be a folder that recbole-li export wrote, or owner/name on a hub. There is no such folder."
        )
    from huggingface_hub import hf_hub_download, snapshot_download  # late: a local folder needs none of it

    given: dict[str, Any] = {"endpoint": endpoint}
    try:
        found = Path(hf_hub_download(str(name), MANIFEST, revision=revision, **given)).parent
        manifest = read_manifest(found)
        wanted = [*(manifest.files if manifest else ()), MANIFEST, SIGNATURE, CARD]
        return Path(snapshot_download(str(name), revision=found.name, allow_patterns=wanted, **given))
    except (OSError, ValueError) as error:  # those of the hub are of these kinds
        if isinstance(error, ExportError):
            raise
        at = f" at {revision}" if revision else ""
        raise ExportError(
            f"The hub does not give {name}{at}: {_first_line(error)} Check the name, "
            f"the revision and the network; it must hold a {MANIFEST}, as recbole-li export writes it."
        ) from error


def push_to_hub(
    folder: str | Path, name: str, *, private: bool = True, message: str = "LongInterest", endpoint: str | None = None
) -> str:
    """Put an exported model on a model hub, with its card.

    Args:
        folder: that ``recbole-li export`` wrote; every file is checked against its manifest first.
        name: ``owner/name``; made if it does not exist.
        private: whether a new one is for its owner only.
        message: of the commit.
        endpoint: address of another hub than huggingface.co.

    Returns:
        The commit's id, which ``Recommender.from_pretrained(name, revision=)`` takes.

    Raises:
        ExportError: for a folder that is no export or was changed, and for a hub that does not take it.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise ExportError(f"{folder} has no {MANIFEST}: it must be a folder that recbole-li export wrote.")
    for file in manifest.files:
        manifest.check(file)
    from huggingface_hub import HfApi  # late: takes a second

    api = HfApi(endpoint=endpoint)
    wanted = [*manifest.files, MANIFEST, SIGNATURE, CARD]
    try:
        api.create_repo(name, private=private, exist_ok=True)
        done = api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=wanted, commit_message=message)
    except (OSError, ValueError) as error:
        raise ExportError(
            f"The hub does not take {name}: {_first_line(error)} Check the name, the network, and that you are logged "
            "in (hf auth login)."
        ) from error
    return str(done.oid)


def _first_line(error: Exception) -> str:
    """What a library says, in a line that ends as a sentence."""
    said = " ".join(str(error).split())[:300]
    return said if said.endswith(".") else f"{said}."
