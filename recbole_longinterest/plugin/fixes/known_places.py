"""A patch of RecBole's Config that records the paths and hosts that a user names, see `common.known_places`."""

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
    why="RecBole reads data from any path that a checkpoint names, even if the user has never used that path.",
    wraps=True,
)
def known_places(init_device: Callable[["Config"], None]) -> Callable[["Config"], None]:
    """Record the places of configs that the user creates, but not of configs from files."""

    def _init_device(self: "Config") -> None:
        init_device(self)
        remember_places(self)

    return _init_device
