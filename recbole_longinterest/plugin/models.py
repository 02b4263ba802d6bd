"""The models that RecBole does not bring: where each class and its yaml files are.

This is the one list of them. To add a baseline: a line in :data:`BASELINES`, its module in `plugin/baselines/`,
``properties/<Name>.yaml`` and ``properties/search/<Name>.yaml``. `plugin.lookups` puts them where RecBole looks.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path

MODEL = "LongInterest"
PLUGIN = "recbole_longinterest.plugin"
GROUP = "recbole_longinterest.models"
"""Entry points of installed packages: ``Name = "package.module:Class"``."""

BASELINES: dict[str, str] = {
    **{"gSASRec": "gsasrec", "eSASRec": "esasrec", "LRURec": "lrurec", "HSTU": "hstu"},
    **{"SeqEASE": "computed.ease", "TALE": "computed.tale"},
    **{"VSKNN": "computed.neighbours", "STAN": "computed.neighbours"},
    **{"SASRecAll": "plus_all", "GRU4RecAll": "plus_all"},
}
"""Name of a baseline's class -> its module in `plugin/baselines/`. No name of RecBole's, in any case of letters."""

DATASETS: dict[str, str] = {"HSTU": "recbole_longinterest.data.timed_dataset"}
"""Name of a baseline -> the module with its data set class ``<Name>Dataset``; others use RecBole's, or the flat one."""


@dataclass(frozen=True)
class KnownModel:
    """A model that RecBole does not bring.

    Attributes:
        name: by which users and RecBole name it.
        module: full name of the module that holds its class.
        attribute: name of the class there.
        own: whether it comes from outside this plugin.
    """

    name: str
    module: str
    attribute: str
    own: bool = False

    def load(self) -> type:
        """Import the class."""
        found: type = getattr(importlib.import_module(self.module), self.attribute)
        return found

    def file(self, name: str) -> Path | None:
        """One of its yaml files.

        Args:
            name: below ``properties/``: ``<Name>.yaml`` or ``search/<Name>.yaml``. A model from outside has them in
                the folder ``properties`` of its package, or beside its module.

        Returns:
            The file; None if there is none.
        """
        from recbole_longinterest.common.resources import resource  # saves start-up time

        if not self.own:
            places = [resource("properties", name)]
        else:
            places = [folder / below / name for folder in self._folders() for below in ("properties", "")]
        return next((place for place in places if place.is_file()), None)

    def _folders(self) -> list[Path]:
        """Folder of its module, and those above it up to the top of its package."""
        here = getattr(importlib.import_module(self.module), "__file__", None)
        if here is None:  # typed into a prompt
            return []
        above = self.module.count(".")
        return [Path(here).parent, *Path(here).parent.parents[:above]]


_known = {MODEL: KnownModel(MODEL, f"{PLUGIN}.longinterest", MODEL)}
_known |= {name: KnownModel(name, f"{PLUGIN}.baselines.{module}", name) for name, module in BASELINES.items()}


def known_models() -> dict[str, KnownModel]:
    """The plugin's models and those that were added in this process, by name."""
    return dict(_known)


def add_model(model: KnownModel) -> None:
    """Make a model known in this process.

    Args:
        model: one from outside; another of the same name is replaced.
    """
    _known[model.name] = model


def find_model(name: str) -> KnownModel | None:
    """A known model, or one that an installed package names as an entry point.

    Args:
        name: its name, in any case of letters.
    """
    lower = name.lower()
    found = next((model for model in _known.values() if model.name.lower() == lower), None)
    return found or _of_package(lower)


def _of_package(lower: str) -> KnownModel | None:
    from importlib.metadata import entry_points  # late: it takes 0.1 s

    for point in entry_points(group=GROUP):
        if point.name.lower() == lower:
            add_model(KnownModel(point.name, point.module, point.attr, own=True))
            return _known[point.name]
    return None


def defaults_of(model: type, name: str) -> list[Path]:
    """The yaml files with a model's defaults, later ones winning; LongInterest's is read with its data's.

    Args:
        model: its class; files of the classes that it derives from come first, for a model from outside RecBole's too,
            which RecBole finds by the name of the model alone.
        name: by which RecBole knows it.
    """
    found: list[Path] = []
    own = name in _known and _known[name].own
    for base in reversed(model.__mro__):
        if own and base.__module__.startswith("recbole.model."):
            file = _recboles_file(base)
            found += [file] if file else []
            continue
        known = _known.get(name if base is model else base.__name__)
        if known is None or known.name == MODEL or (base is not model and known.module != base.__module__):
            continue
        file = known.file(f"{known.name}.yaml")
        found += [file] if file else []
    return found


def _recboles_file(model: type) -> Path | None:
    import recbole  # saves start-up time

    file = Path(recbole.__file__).parent / "properties" / "model" / f"{model.__name__}.yaml"
    return file if file.is_file() else None


def is_baseline(model: type) -> bool:
    """Whether a class is one of the plugin's baselines, or derives from one."""
    return any(base.__module__.startswith(f"{PLUGIN}.baselines.") for base in model.__mro__)
