"""Optional plots of a prepared data set: history lengths, popularity, events over time, ratings."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.prepare.cleaning.times import NANO
from recbole_longinterest.prepare.events import Events

BINS = 50


def draw(events: Events) -> dict[str, bytes]:
    """Draw the plots.

    Args:
        events: the log.

    Returns:
        File name -> PNG.
    """
    lengths, popularity = np.bincount(events.user), np.bincount(events.item)
    days = (events.time // NANO).astype("datetime64[s]").astype("datetime64[D]")
    pictures: dict[str, tuple[str, Any, bool]] = {
        "history_length": ("events per user", lengths[lengths > 0], True),
        "item_popularity": ("events per item", popularity[popularity > 0], True),
        "time": ("day", days, False),
    }
    if events.rating is not None and not np.isnan(events.rating).all():
        pictures["rating"] = ("rating", events.rating[~np.isnan(events.rating)], False)
    return {f"{name}.png": _draw(*picture) for name, picture in pictures.items()}


def _draw(label: str, values: NDArray[Any], logarithmic: bool) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    bins: Any = BINS
    if logarithmic:
        bins = np.unique(np.geomspace(values.min(), values.max() + 1, BINS).round())
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.hist(values, bins=bins)
    axes.set_xlabel(label)
    axes.set_ylabel({"events per user": "users", "events per item": "items"}.get(label, "events"))
    axes.tick_params(axis="x", which="both", rotation=45, labelsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
