"""Locate ``properties/`` and ``dataset_configs/``: beside the package in a checkout, inside it in a wheel."""

import contextlib
from pathlib import Path

from recbole_longinterest.common.file_lock import FileLockError, lock_files
from recbole_longinterest.common.leftovers import standing

DATASET_CONFIGS = "dataset_configs"  # folder of yaml files, beside the folders of the data sets
PREPARED_SETTINGS = "prepare.yaml"  # in the folder of a prepared data set
BUNDLED = "ml-100k"  # the data set that RecBole bundles


def resource(folder: str, name: str) -> Path:
    """Return the path of a shipped yaml file; it may not exist.

    Args:
        folder: ``"properties"`` or ``"dataset_configs"``.
        name: file name below it.

    Returns:
        The path in the wheel if the package holds the folder, else in the checkout.
    """
    package = Path(__file__).resolve().parent.parent
    root = package if (package / folder).is_dir() else package.parent
    return root / folder / name


def prepared_settings(data_path: object, dataset: str) -> Path | None:
    """Return the yaml file that `recbole-li prepare` wrote for a data set; None if it does not exist.

    If a killed `prepare` was replacing the data set, its folder is restored.

    Args:
        data_path: parent of the data set's folder.
        dataset: its name. For :data:`BUNDLED` RecBole always reads its own files, so ``data_path`` is ignored.
    """
    if dataset == BUNDLED:
        return None
    place = Path(str(data_path), dataset)
    if standing(place) != place:
        with contextlib.suppress(FileLockError), lock_files(place, "preparing"):
            pass
    files = Path(str(data_path), DATASET_CONFIGS, f"{dataset}.yaml"), place / PREPARED_SETTINGS
    return next((file for file in files if file.is_file()), None)
