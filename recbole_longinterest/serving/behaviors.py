"""The behaviours of a training, as stored in an export."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from recbole_longinterest.common.tokens import token_of


@dataclass(frozen=True)
class Behaviors:
    """The behaviours of a model's training.

    Attributes:
        targets: the behaviours that the model predicts; empty if every event is a target, or if not stored.
        names: all behaviours; empty for data without behaviours.
        map: behaviour in the files -> name in the training.
    """

    targets: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    map: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_export(cls, about: Mapping[str, Any], settings: Mapping[str, Any] | None) -> "Behaviors":
        """Read the behaviours of an export.

        Args:
            about: description of the export; exports of earlier versions do not have the targets.
            settings: settings of the source ``behavior``, None for a model that does not read behaviours.
        """
        given = about.get("behaviors") or {}
        names = given.get("names") or (settings or {}).get("tokens", [])[1:]
        renamed = given.get("map") or (settings or {}).get("map") or {}
        return cls(tuple(map(str, given.get("targets") or ())), tuple(map(str, names)), dict(renamed))

    @cached_property
    def _known(self) -> set[str]:
        return self.map.keys() | set(self.names)

    def name_of(self, raw: object) -> str | None:
        """Return the training's name of a behaviour; None for a missing value."""
        if raw is None or raw == "" or raw != raw:  # NaN is not itself
            return None
        token = token_of(raw, self._known)
        return self.map.get(token, token)
