"""Versions of a model: the exported folders inside one folder, which is chosen at the start and by no request."""

import re
from dataclasses import dataclass
from logging import ERROR
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.logs import log
from recbole_longinterest.serving.canaries import ask_canaries
from recbole_longinterest.serving.index import load_index
from recbole_longinterest.serving.manifest import MANIFEST
from recbole_longinterest.serving.recommender import Recommender

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")  # no folder above, and no draft that an export writes


class VersionError(LongInterestError):
    """A version that is not in the folder."""


@dataclass(frozen=True)
class Versions:
    """The folder of versions.

    Attributes:
        folder: with an exported folder each; links are passed over.
        engine: as in :meth:`Recommender.load`, like the following.
        trusted_key: None for folders that nobody signed.
        mapped: see there; for several processes on one machine.
    """

    folder: Path
    engine: str = "torch"
    trusted_key: str | None = None
    mapped: bool = False

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Names of the versions, the newest last, each with what differs after it was exported again.

        Raises:
            VersionError: if the folder cannot be read.
        """
        found = []
        try:
            for place in self.folder.iterdir():
                if NAME.fullmatch(place.name) and not place.is_symlink() and (place / MANIFEST).is_file():
                    about = (place / MANIFEST).stat()
                    found.append((about.st_mtime_ns, place.name, about.st_ino))
        except OSError as error:
            raise VersionError(f"The folder of models {self.folder} cannot be read: {error.strerror}.") from error
        return {name: (time, file) for time, name, file in sorted(found)}

    def place(self, name: str) -> Path:
        """Folder of a version.

        Raises:
            VersionError: for a name that the folder does not have.
        """
        known = self.stamps()
        if name not in known:
            raise VersionError(
                f"{name!r} is no version in {self.folder}, which has {', '.join(known) or 'none'}. Make it with "
                f"recbole-li export --output {self.folder}/NAME."
            )
        return self.folder / name

    def load(self, name: str) -> Recommender:
        """A version that was read, has the files that its manifest says, and has recommended to a dozen users.

        Raises:
            VersionError: for a name that the folder does not have.
            LongInterestError: for a version that is broken, not signed as it must be, or cannot rank items.
        """
        model = Recommender.load(self.place(name), self.engine, trusted_key=self.trusted_key, mapped=self.mapped)
        ask_canaries(model)
        load_index(model)
        return model

    def first(self, wanted: list[str]) -> tuple[str, Recommender]:
        """The version to start with.

        Args:
            wanted: names of versions that were in force before, the last one first.

        Returns:
            The first of them that can be used, or the newest one that can; and its model.

        Raises:
            LongInterestError: if there is no version, or none that can be used.
        """
        known = self.stamps()
        newest_first = list(known)[::-1]
        problem: LongInterestError | None = None
        for name in dict.fromkeys([*(name for name in wanted if name in known), *newest_first]):
            try:
                return name, self.load(name)
            except LongInterestError as error:
                log("model refused", ERROR, version=name, detail=str(error))
                problem = error
        if problem is not None:
            raise LongInterestError(f"No version in {self.folder} can be served: {problem}") from problem
        raise VersionError(
            f"There is no version in {self.folder}. Make one with recbole-li export --output {self.folder}/NAME."
        )
