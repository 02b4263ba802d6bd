"""The engines by name: the built-in ones, those that a program registers, and those of installed packages."""

from collections.abc import Callable, Sequence
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.registry import Registry
from recbole_longinterest.serving.engines.base import Engine
from recbole_longinterest.serving.model_folder import Served

ENGINES: Registry[type[Engine]] = Registry("engine", "register_engine", "recbole_longinterest.engines")


def register_engine(name: str, engine: type[Engine]) -> None:
    """Make an engine known under a name, for ``Recommender.load(folder, engine=name)`` and ``--engine name``.

    Args:
        name: not yet that of another engine.
        engine: a subclass of :class:`~recbole_longinterest.serving.engines.base.Engine`.

    Raises:
        LongInterestError: for a name that another engine has, or something that is not an engine.
    """
    if not (isinstance(engine, type) and issubclass(engine, Engine)):
        raise LongInterestError(f"The engine {name} must be a subclass of Engine; got {engine!r}.")
    ENGINES.add(name, engine)


def engine_names() -> list[str]:
    """Names of all engines, those of installed packages too."""
    return sorted(ENGINES)


def engine_of(name: str) -> type[Engine]:
    """The engine of a name.

    Raises:
        LongInterestError: for an unknown name; the message has the known ones.
    """
    return ENGINES.get(name)


def engines_in(folder: Path) -> list[type[Engine]]:
    """The engines whose files an exported folder has, apart from those that need no files."""
    engines = [engine_of(name) for name in engine_names()]
    return [engine for engine in engines if engine.files and all((folder / file).is_file() for file in engine.files)]


def writer_of(engines: Sequence[type[Engine]], served: Served) -> Callable[[Path], None]:
    """What writes the files of some engines into a folder, for :func:`~.model_folder.write_folder`."""

    def write(folder: Path) -> None:
        network = served.network()
        for engine in engines:
            engine.write(network, folder, served.precision == "int8")

    return write
