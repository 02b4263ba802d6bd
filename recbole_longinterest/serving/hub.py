"""Download exported models from a model hub, and upload them. Nothing else in serving uses the network."""

from pathlib import Path
from typing import Any

from recbole_longinterest.serving.manifest import MANIFEST, SIGNATURE, ExportError, read_manifest
from recbole_longinterest.serving.model_card import CARD


def pretrained_folder(name: str | Path, revision: str | None = None, endpoint: str | None = None) -> Path:
    """Return the folder of an exported model: a local folder, or a copy from the hub in the hub's cache.

    Args:
        name: a folder, or ``owner/name`` on the hub. Other paths that do not exist are not looked up on the hub.
        revision: branch, tag or commit on the hub.
        endpoint: address of a hub other than huggingface.co.

    Returns:
        The folder. From the hub, only the files in its manifest are downloaded.

    Raises:
        ExportError: for a missing folder, a model that cannot be downloaded, or a revision with a local folder.
    """
    if Path(name).is_dir():
        if revision is not None:
            raise ExportError(f"{name} is a folder and has no revision; got {revision!r}. Leave the revision out.")
        return Path(name)
    parts = str(name).split("/")
    if len(parts) != 2 or not all(parts) or parts[0] in (".", "..", "~"):
        raise ExportError(
            f"{name} must be a folder that recbole-li export wrote, or owner/name on a hub. The folder does not exist."
        )
    from huggingface_hub import hf_hub_download, snapshot_download  # late: not needed for a local folder

    given: dict[str, Any] = {"endpoint": endpoint}
    try:
        found = Path(hf_hub_download(str(name), MANIFEST, revision=revision, **given)).parent
        manifest = read_manifest(found)
        wanted = [*(manifest.files if manifest else ()), MANIFEST, SIGNATURE, CARD]
        return Path(snapshot_download(str(name), revision=found.name, allow_patterns=wanted, **given))
    except (OSError, ValueError) as error:  # base classes of the hub's errors
        if isinstance(error, ExportError):
            raise
        at = f" at {revision}" if revision else ""
        raise ExportError(
            f"{name}{at} cannot be downloaded from the hub: {_first_line(error)} Check the name, "
            f"the revision and the network; the model must have a {MANIFEST}, which recbole-li export writes."
        ) from error


def push_to_hub(
    folder: str | Path, name: str, *, private: bool = True, message: str = "LongInterest", endpoint: str | None = None
) -> str:
    """Upload an exported model to a model hub, with its card.

    Args:
        folder: folder written by ``recbole-li export``; every file is first checked against the manifest.
        name: ``owner/name``; created if it does not exist.
        private: whether a new repository is private.
        message: commit message.
        endpoint: address of a hub other than huggingface.co.

    Returns:
        The commit id, for ``Recommender.from_pretrained(name, revision=)``.

    Raises:
        ExportError: for a folder that is not an export or was changed, or if the upload fails.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise ExportError(f"{folder} has no {MANIFEST}: it must be a folder that recbole-li export wrote.")
    for file in manifest.files:
        manifest.check(file)
    from huggingface_hub import HfApi  # late: the import takes a second

    api = HfApi(endpoint=endpoint)
    wanted = [*manifest.files, MANIFEST, SIGNATURE, CARD]
    try:
        api.create_repo(name, private=private, exist_ok=True)
        done = api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=wanted, commit_message=message)
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{name} cannot be uploaded to the hub: {_first_line(error)} Check the name, the network, and that you are "
            "logged in (hf auth login)."
        ) from error
    return str(done.oid)


def _first_line(error: Exception) -> str:
    """Shorten an error message to one line that ends with a full stop."""
    said = " ".join(str(error).split())[:300]
    return said if said.endswith(".") else f"{said}."
