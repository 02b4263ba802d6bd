"""Recommenders with random weights, for tests that need no training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.manifest import MANIFEST, write_manifest
from recbole_longinterest.serving.model_folder import VERSION, Items, Served
from recbole_longinterest.serving.recommender import Recommender

N_ITEMS = 300
OPTIONS = ModelOptions(16, 32, 1, "LSTM", 0.3, 0.3, 0.02, "linear", True, 1, False, "dot", True, "CE", 0, 64)
DEFAULTS = ModelOptions(64, 128, 1, "LSTM", 0.3, 0.3, 0.02, "linear", True, 1, False, "dot", True, "CE", 0, 64)
WITH_MEMORY = replace(OPTIONS, memory=True, memory_size=8)
KINDS = ("view", "cart", "buy")
SPECS = [
    SourceSpec("rating", "rating", "rating", settings={"values": [1.0, 2.0, 3.0, 4.0, 5.0], "range": None}),
    SourceSpec("behavior", "behavior", "behavior", settings={"tokens": ["[PAD]", *KINDS], "map": {}}),
    SourceSpec("time", "time", "timestamp"),
]


def random_served(
    options: ModelOptions = OPTIONS, n_items: int = N_ITEMS, seed: int = 0, spread: float = 0.3
) -> Served:
    """Random weights, large enough that attention is far from even; every third item is a "Comedy"."""
    network = InterestNetwork()
    network.build(options, Sources(n_items + 1, events=SPECS))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=spread, generator=generator)
        if network.memory is not None:
            shape = network.memory.followers.shape
            network.memory.followers.copy_(torch.randint(1, n_items + 1, shape, generator=generator))
            network.memory.counts.copy_(torch.rand(shape, generator=generator))
            network.memory.support.copy_(torch.rand(n_items + 1, generator=generator) * 5)
            network.memory.occurrences.copy_(torch.randint(1, 50, shape, generator=generator))
        if network.request is not None:
            network.request.counts.fill_(1.0)
    tokens = ["[PAD]", *(f"i{i}" for i in range(n_items))]
    categories = [["Comedy"] if i % 3 == 0 else ["Drama", "War"] for i in range(n_items)]
    items = Items(tokens, ["", *(f"Title <{i}>" for i in range(n_items))], [[], *categories])
    fields = {"user": "user_id", "item": "item_id", "rating": "rating", "behavior": "behavior", "time": "timestamp"}
    return Served(
        options=options,
        weights=network.state_dict(),
        items=items,
        sources=SPECS,
        history_limit=None,
        fields=fields,
    )


def signed_again(folder: Path) -> None:
    """Write the manifest of a folder that was changed, as its maker could."""
    (folder / MANIFEST).unlink()
    write_manifest(folder, VERSION, {})


def random_model(
    options: ModelOptions = OPTIONS, n_items: int = N_ITEMS, seed: int = 0, spread: float = 0.3
) -> Recommender:
    return Recommender(random_served(options, n_items, seed, spread))


def random_events(number: int, seed: int = 0, n_items: int = N_ITEMS) -> list[Event]:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.integers(0, 10**5, number))
    kinds = [None, *KINDS]
    return [
        Event(f"i{rng.integers(n_items)}", float(rng.integers(1, 6)), kinds[rng.integers(4)], float(time))
        for time in times
    ]


def write_histories(path: Path, users: int = 3, number: int = 12) -> Path:
    """Histories of some users as CSV."""
    lines = ["user_id,item_id,rating,behavior,timestamp"]
    for user in range(users):
        lines += [
            f"u{user},{e.item},{e.rating},{e.behavior or ''},{e.time}" for e in random_events(number + user, user)
        ]
    path.write_text("\n".join(lines) + "\n")
    return path
