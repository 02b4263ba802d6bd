"""Registry of engines: built-in ones, those registered by code, and those of installed packages."""

from collections.abc import Callable, Sequence
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.registry import Registry
from recbole_longinterest.serving.engines.base import Engine
from recbole_longinterest.serving.model_folder import Served

ENGINES: Registry[type[Engine]] = Registry("engine", "register_engine", "recbole_longinterest.engines")


def register_engine(name: str, engine: type[Engine]) -> None:
    """Register an engine under a name, for ``Recommender.load(folder, engine=name)`` and ``--engine name``.

    Args:
        name: an unused name.
        engine: a subclass of :class:`~recbole_longinterest.serving.engines.base.Engine`.

    Raises:
        LongInterestError: for a name that is taken, or an object that is not an engine class.
    """
    if not (isinstance(engine, type) and issubclass(engine, Engine)):
        raise LongInterestError(f"The engine {name} must be a subclass of Engine; got {engine!r}.")
    ENGINES.add(name, engine)


def engine_names() -> list[str]:
    """Return the names of all engines, including those of installed packages."""
    return sorted(ENGINES)


def engine_of(name: str) -> type[Engine]:
    """Return the engine of a name.

    Raises:
        LongInterestError: for an unknown name; the message lists the known ones.
    """
    return ENGINES.get(name)


def engines_in(folder: Path) -> list[type[Engine]]:
    """Return the engines whose files are in an exported folder; engines without files are left out."""
    engines = [engine_of(name) for name in engine_names()]
    return [engine for engine in engines if engine.files and all((folder / file).is_file() for file in engine.files)]


def writer_of(engines: Sequence[type[Engine]], served: Served) -> Callable[[Path], None]:
    """Return a function that writes the files of the given engines, for :func:`~.model_folder.write_folder`."""

    def write(folder: Path) -> None:
        network = served.network()
        for engine in engines:
            engine.write(network, folder, served.precision == "int8")

    return write
