"""A patch of RecBole's Config that keeps which places the user names to read from, see `common.known_places`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from recbole_longinterest.plugin.fixes import processes  # noqa: F401 - its patch of _init_device comes first
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.runs.places import remember_places

if TYPE_CHECKING:
    from recbole.config.configurator import Config


@patch(
    "recbole.config.configurator:Config._init_device",
    kind="safety",
    after="processes_without_gpu",
    why="A checkpoint says where its data is; nobody knows whether the user has ever named that place.",
    wraps=True,
)
def known_places(init_device: Callable[["Config"], None]) -> Callable[["Config"], None]:
    """Remember the places of a config that the user makes; one from a file is left out."""

    def _init_device(self: "Config") -> None:
        init_device(self)
        remember_places(self)

    return _init_device
