"""A model for serving: network weights, items and settings, from a folder or in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.shapes import ShapeError, check_shapes
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.nn.state_keys import ID, NEW_KEYS, item_key, item_sources_in
from recbole_longinterest.serving.int8 import SCALE, packed
from recbole_longinterest.serving.manifest import AGAIN, ExportError, Manifest


@dataclass
class Items:
    """The catalogue by internal id; index 0 is the padding.

    Attributes:
        tokens: raw item tokens.
        titles: title of each item, "" if missing.
        categories: categories of each item; empty lists for a data set without categories.
        recent: number of events of each item in the latest part of the training data; None in older exports.
    """

    tokens: list[str]
    titles: list[str]
    categories: list[list[str]]
    recent: list[int] | None = None


@dataclass(kw_only=True)
class Served:
    """Data of a served model.

    Attributes:
        options: options of the network.
        weights: weights of the network, in float32.
        items: the catalogue.
        sources: event sources, in the network's order.
        history_limit: number of last events that the model reads; None for all.
        fields: RecBole's names of the columns user, item, rating, behavior, time.
        about: origin (data set, text encoder and so on), for people and for encoding new items.
        precision: precision of the tables in the file, ``"fp32"`` or ``"int8"``.
        folder: folder of the model; None for a model in memory.
        manifest: manifest of the folder; None for a model in memory or an export of an earlier version.
        parent: name and SHA-256 of the exported checkpoint.
        known_fingerprint: the fingerprint, "" until it is computed.
    """

    options: ModelOptions
    weights: dict[str, Tensor]
    items: Items
    sources: list[SourceSpec]
    history_limit: int | None
    fields: dict[str, str]
    about: dict[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    folder: Path | None = None
    manifest: Manifest | None = None
    parent: Mapping[str, str] | None = None
    known_fingerprint: str = ""

    @property
    def fingerprint(self) -> str:
        """Hash of weights and catalogue, always computed; states of other models are rejected by it."""
        if not self.known_fingerprint:
            stored = packed(self.weights, int8=self.precision != "fp32")
            self.known_fingerprint = fingerprint_of(stored, self.precision, self.items.tokens)
        return self.known_fingerprint

    def content(self, name: str) -> bytes:
        """Read a file of the folder, checked against the manifest.

        Raises:
            ExportError: for a model in memory, or a file that is missing or was changed.
        """
        if self.folder is None:
            raise ExportError(f"This model is only in memory and has no file {name}. Load an exported folder.")
        if self.manifest is not None:
            return self.manifest.content(name)
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise ExportError(f"{self.folder / name} cannot be read: {error.strerror}. {AGAIN}") from error

    def network(self) -> InterestNetwork:
        """Build the network with these weights, in evaluation mode.

        Raises:
            ExportError: if the weights do not fit the settings.
        """
        network = InterestNetwork()
        sources = Sources(
            n_items=len(self.items.tokens),
            id=ID in self.weights,
            items={name: self.weights[item_key(name, "vectors")].shape[1] for name in item_sources_in(self.weights)},
            events=self.sources,
        )
        try:
            check_shapes(self.options, sources, self.weights)
            # The initial random weights must not change the caller's random state.
            with torch.random.fork_rng(devices=[]):
                network.build(self.options, sources)
            network.load_state_dict(self.weights, assign=True)
        except (KeyError, TypeError) as error:
            raise ExportError(f"The sources in {self.folder} are broken: {error!r}.") from error
        except (RuntimeError, ShapeError) as error:
            detail = " ".join(str(error).split())[:300]
            raise ExportError(f"The weights in {self.folder} do not fit its settings: {detail}") from error
        return network.eval().requires_grad_(False)


def fingerprint_of(stored: Mapping[str, Tensor], precision: str, tokens: Sequence[str]) -> str:
    """Hash weights and catalogue. Weights go by their original names, so that older states stay valid.

    Args:
        stored: weights as in the file.
        precision: precision of the tables, ``"fp32"`` or ``"int8"``.
        tokens: item tokens of the catalogue.
    """
    digest = sha256("\n".join([precision, *tokens]).encode())
    named = {}
    for name, value in stored.items():
        table, ending = name.removesuffix(SCALE), SCALE if name.endswith(SCALE) else ""
        named[NEW_KEYS.get(table, table) + ending] = value
    for name in sorted(named):
        digest.update(name.encode())
        digest.update(named[name].contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
