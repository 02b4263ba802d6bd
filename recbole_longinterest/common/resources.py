"""Where ``properties/`` and ``dataset_configs/`` are: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

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
    """The yaml file that `recbole-li prepare` wrote beside a data set; None if there is none.

    Args:
        data_path: folder above the data set's.
        dataset: its name; of :data:`BUNDLED` RecBole reads its own files, whatever ``data_path`` says.
    """
    file = Path(str(data_path), "dataset_configs", f"{dataset}.yaml")
    return file if dataset != BUNDLED and file.is_file() else None
