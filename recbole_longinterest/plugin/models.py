"""The list of models that the plugin adds to RecBole, with the locations of their classes and yaml files.

To add a baseline: add a line to :data:`BASELINES`, its module in `plugin/baselines/`, ``properties/<Name>.yaml`` and
``properties/search/<Name>.yaml``. `plugin.lookups` puts them where RecBole looks.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError

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
"""Name of a baseline's class -> its module in `plugin/baselines/`. Names must differ from RecBole's, ignoring case."""

DATASETS: dict[str, str] = {"HSTU": "recbole_longinterest.data.timed_dataset"}
"""Name of a baseline -> module of its data set class ``<Name>Dataset``; others use RecBole's, or the flat one."""


@dataclass(frozen=True)
class KnownModel:
    """A model that is not part of RecBole.

    Attributes:
        name: its name for users and RecBole.
        module: full name of the module of its class.
        attribute: name of the class in that module.
        own: whether it comes from outside this plugin.
    """

    name: str
    module: str
    attribute: str
    own: bool = False

    def load(self) -> type:
        """Import the class.

        Raises:
            LongInterestError: for a model from outside the plugin that cannot be imported.
        """
        try:
            found: type = getattr(importlib.import_module(self.module), self.attribute)
        except (ImportError, AttributeError) as error:
            if not self.own:
                raise
            raise LongInterestError(
                f"The model {self.name} ({self.module}:{self.attribute}) cannot be loaded: {error}. If an installed "
                f"package registers it (entry point in the group {GROUP}), correct that package, or remove it."
            ) from error
        return found

    def file(self, name: str) -> Path | None:
        """Find one of the model's yaml files.

        Args:
            name: path below ``properties/``, such as ``<Name>.yaml`` or ``search/<Name>.yaml``. A model from outside
                the plugin has them in the folder ``properties`` of its package, or beside its module.

        Returns:
            The file, or None if it does not exist.
        """
        from recbole_longinterest.common.resources import resource  # saves start-up time

        if not self.own:
            places = [resource("properties", name)]
        else:
            places = [folder / below / name for folder in self._folders() for below in ("properties", "")]
        return next((place for place in places if place.is_file()), None)

    def _folders(self) -> list[Path]:
        """Folder of the model's module, and its parents up to the top of the package."""
        here = getattr(importlib.import_module(self.module), "__file__", None)
        if here is None:  # defined at an interactive prompt
            return []
        above = self.module.count(".")
        return [Path(here).parent, *Path(here).parent.parents[:above]]


_known = {MODEL: KnownModel(MODEL, f"{PLUGIN}.longinterest", MODEL)}
_known |= {name: KnownModel(name, f"{PLUGIN}.baselines.{module}", name) for name, module in BASELINES.items()}


def known_models() -> dict[str, KnownModel]:
    """The plugin's models and the models added in this process, by name."""
    return dict(_known)


def add_model(model: KnownModel) -> None:
    """Register a model in this process.

    Args:
        model: a model from outside the plugin; it replaces one of the same name.
    """
    _known[model.name] = model


def find_model(name: str) -> KnownModel | None:
    """Find a known model, or a model that an installed package registers as an entry point.

    Args:
        name: name of the model, ignoring case.
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
    """The yaml files with a model's defaults; later files override earlier ones. LongInterest's own file is left out.

    Args:
        model: class of the model; files of its base classes come first. For a model from outside the plugin this
            includes RecBole's files, which RecBole itself finds only by the model's name.
        name: RecBole's name of the model.
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
