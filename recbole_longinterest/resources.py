"""Where ``properties/`` and ``dataset_configs/`` are: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path


def resource(folder: str, name: str) -> Path:
    """Path of a shipped yaml file, which may not exist.

    Args:
        folder: ``"properties"`` or ``"dataset_configs"``.
        name: file name below it.

    Returns:
        The path in the wheel if the package holds the folder, else in the checkout.
    """
    package = Path(__file__).resolve().parent
    root = package if (package / folder).is_dir() else package.parent
    return root / folder / name
