"""Where ``properties/`` and ``dataset_configs/`` are: beside the package in a checkout, inside it in a wheel."""

import contextlib
from pathlib import Path

from recbole_longinterest.common.file_lock import FileLockError, lock_files
from recbole_longinterest.common.leftovers import standing

DATASET_CONFIGS = "dataset_configs"  # folder of yaml files, beside the folders of the data sets
PREPARED_SETTINGS = "prepare.yaml"  # in the folder of a prepared data set
BUNDLED = "ml-100k"  # the data set that is inside RecBole


def resource(folder: str, name: str) -> Path:
    """Path of a shipped yaml file, which may not exist.

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
    """The yaml file that `recbole-li prepare` wrote for a data set; None if there is none.

    A data set that a killed `prepare` was replacing gets its folder back.

    Args:
        data_path: folder above the data set's.
        dataset: its name; of :data:`BUNDLED` RecBole reads its own files, whatever ``data_path`` says.
    """
    if dataset == BUNDLED:
        return None
    place = Path(str(data_path), dataset)
    if standing(place) != place:
        with contextlib.suppress(FileLockError), lock_files(place, "preparing"):
            pass
    files = Path(str(data_path), DATASET_CONFIGS, f"{dataset}.yaml"), place / PREPARED_SETTINGS
    return next((file for file in files if file.is_file()), None)
