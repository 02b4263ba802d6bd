"""The format of an exported folder: a network, its items and its settings, as safetensors and JSON.

A folder holds ``settings.json``, ``items.json``, ``model.safetensors`` and the files of engines such as ``step.onnx``.
Nothing in it is a pickle, and it is read without RecBole, ray or transformers.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import atomic_folder
from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.nn.state_keys import ID, NEW_KEYS, item_key, item_sources_in, renamed, table_key, values_key
from recbole_longinterest.serving.int8 import packed, unpacked

FORMAT = "recbole-longinterest export"
VERSION = 2
READABLE = (1, VERSION)  # version 1 had ratings, behaviours and times as the only sources of events
SETTINGS, ITEMS, WEIGHTS = "settings.json", "items.json", "model.safetensors"


class ExportError(LongInterestError):
    """A folder that is not an exported model, or cannot be read or written."""


@dataclass
class Items:
    """The catalogue by internal id; index 0 is the padding.

    Attributes:
        tokens: raw item tokens.
        titles: title of each item, "" if it has none.
        categories: categories of each item; empty lists for a data set without such a column.
        recent: events of each item in the latest part of the training; None in exports of before.
    """

    tokens: list[str]
    titles: list[str]
    categories: list[list[str]]
    recent: list[int] | None = None


@dataclass(kw_only=True)
class Served:
    """Everything that serving needs.

    Attributes:
        options: of the network.
        weights: its state, in float32.
        items: the catalogue.
        sources: of events, in the network's order.
        history_limit: number of last events that are read; None for all.
        fields: RecBole's names of the columns user, item, rating, behavior, time.
        about: origin (data set, text encoder and so on), for people and for encoding new items.
        precision: of the tables in the file, ``"fp32"`` or ``"int8"``.
        folder: where it was read from; None for a model in memory.
        fingerprint: hash of weights and catalogue; a state of another model is refused by it.
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
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if self.fingerprint:
            return
        digest = sha256("\n".join([self.precision, *self.items.tokens]).encode())
        named = {NEW_KEYS.get(name, name): value for name, value in self.weights.items()}
        for name in sorted(named):  # by the first names, so that states of before belong to the model still
            digest.update(name.encode())
            digest.update(named[name].contiguous().view(-1).view(torch.uint8).numpy().data)
        self.fingerprint = digest.hexdigest()[:16]

    def network(self) -> InterestNetwork:
        """The network with these weights, in evaluation mode.

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
        with torch.random.fork_rng(devices=[]):  # the random weights, replaced at once, leave the caller's seed alone
            try:
                network.build(self.options, sources)
            except (KeyError, TypeError) as error:
                raise ExportError(f"The sources in {self.folder} are broken: {error!r}.") from error
        try:
            network.load_state_dict(self.weights, assign=True)
        except RuntimeError as error:
            detail = " ".join(str(error).split())[:300]
            raise ExportError(f"The weights in {self.folder} do not fit its settings: {detail}") from error
        return network.eval().requires_grad_(False)


def write_folder(served: Served, folder: Path, more: Callable[[Path], object] | None = None) -> None:
    """Write a folder atomically: if it fails, an earlier export at this place does not change.

    Args:
        served: the model.
        folder: to make; an earlier export at this place is replaced.
        more: writes further files into the draft of the folder.

    Raises:
        ExportError: if something else than an export is in the way, or the disk cannot be written.
    """
    folder = folder.absolute()  # an error names the whole path
    check_place(folder)
    try:
        with atomic_folder(folder) as draft:
            save_file(packed(served.weights, int8=served.precision != "fp32"), draft / WEIGHTS)
            (draft / WEIGHTS).chmod(0o644)  # safetensors makes a file that only its owner can read
            (draft / ITEMS).write_text(json.dumps(asdict(served.items), ensure_ascii=False), encoding="utf-8")
            if more is not None:
                more(draft)
            settings = {
                "format": FORMAT,
                "version": VERSION,
                "options": asdict(served.options),
                "sources": [asdict(spec) for spec in served.sources],
                **{name: getattr(served, name) for name in SETTING_NAMES},
                "bytes": {file.name: file.stat().st_size for file in sorted(draft.iterdir())},
            }
            (draft / SETTINGS).write_text(json.dumps(settings, ensure_ascii=False, indent=1), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{folder} could not be written: {error}. Give another --output, or make room.") from error


def check_place(folder: Path) -> None:
    """Check that :func:`write_folder` may write to a place.

    Raises:
        ExportError: for anything but an exported model or an empty folder, and for an export with foreign files in it.
    """
    if folder.exists() and not is_export(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} exists and is not an exported model. Give another --output.")
    if foreign := _foreign(folder):
        raise ExportError(
            f"{folder} is an exported model that would be replaced, and holds {foreign[0]!r}, which the "
            "export did not write. Move that away, or give another --output."
        )


SETTING_NAMES = ("history_limit", "fields", "about", "precision", "fingerprint")


def is_export(folder: Path) -> bool:
    """Whether a folder was written by :func:`write_folder`, in any version."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return json.loads((folder / SETTINGS).read_text(encoding="utf-8")).get("format") == FORMAT
    return False


def _foreign(folder: Path) -> list[str]:
    """Files in an export that :func:`write_folder` did not write."""
    if not is_export(folder):
        return []
    written = _json(folder / SETTINGS).get("bytes")
    known = {SETTINGS, *(written if isinstance(written, dict) else ())}
    return sorted({each.name for each in folder.iterdir()} - known)


def read_folder(folder: str | Path) -> Served:
    """Read a folder.

    Raises:
        ExportError: for a folder that is missing, broken, of another version, or not an export.
    """
    folder = Path(folder)
    if not (folder / SETTINGS).is_file():
        what = "is no exported model: it has no settings.json" if folder.is_dir() else "is not there"
        raise ExportError(f"The model folder {folder} {what}. Make one: recbole-li export CHECKPOINT --output {folder}")
    settings = _json(folder / SETTINGS)
    if settings.get("format") != FORMAT:
        raise ExportError(f"The model folder {folder} is no exported model: its settings.json is of something else.")
    if settings.get("version") not in READABLE:
        raise ExportError(
            f"The model folder {folder} has version {settings.get('version')}, and versions up to {VERSION} "
            "are read. Export the checkpoint again, or install the recbole-longinterest that wrote it."
        )
    sizes = settings.get("bytes")
    for name, size in sizes.items() if isinstance(sizes, dict) else ():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            state = "is missing" if found is None else f"was cut short or changed: {found} bytes in place of {size}"
            raise ExportError(f"{folder / name} {state}. Export the checkpoint again.")
    try:
        if not isinstance(sizes, dict):
            raise LongInterestError(f"bytes in {SETTINGS} must be sizes of files; got {sizes!r}")
        items = _items(_json(folder / ITEMS))
        limit = settings["history_limit"]
        if limit is not None and (type(limit) is not int or limit < 1):
            raise LongInterestError(
                f"history_limit in {SETTINGS} must be null or a whole number of at least 1; got {limit!r}"
            )
        weights = renamed(unpacked(load_file(folder / WEIGHTS)))
        served = Served(
            options=ModelOptions.from_config(_Unset(settings["options"])),
            weights=weights,
            items=items,
            sources=_sources(settings, weights),
            history_limit=limit,
            fields=dict(settings["fields"]),
            about=dict(settings["about"]),
            precision=settings["precision"],
            folder=folder,
            fingerprint=bytes.fromhex(settings["fingerprint"]).hex(),
        )
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ExportError(f"The model folder {folder} is broken: {error}. Export the checkpoint again.") from error
    return served


def _sources(settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> list[SourceSpec]:
    """The sources of events that the settings of a folder name."""
    if settings["version"] == VERSION:
        specs = [SourceSpec(**spec) for spec in settings["sources"]]
        if not all(isinstance(spec.settings, dict) and isinstance(spec.name, str) for spec in specs):
            raise LongInterestError(f"sources in {SETTINGS} must have names and settings")
        return specs
    made: list[tuple[str, dict[str, Any]]] = []
    fields = settings["fields"]
    if values_key("rating") in weights:
        scale, values = settings["rating_range"], weights[values_key("rating")]
        span = None if scale is None else [float(bound) for bound in scale]
        made.append(("rating", {"values": values.tolist(), "range": span}))
    if settings["behaviors"]:
        names = settings["about"].get("behavior_map") or {}
        made.append(("behavior", {"tokens": list(settings["behaviors"]), "map": names}))
    if table_key("time") in weights:
        made.append(("time", {}))
    return [SourceSpec(name, name, fields[name], settings=learned) for name, learned in made]


def _items(content: dict[str, Any]) -> Items:
    items = Items(**content)
    columns = [items.tokens, items.titles, items.categories, *([items.recent] if items.recent is not None else [])]
    if not all(isinstance(column, list) and len(column) == len(items.tokens) for column in columns):
        raise LongInterestError(f"tokens, titles and categories in {ITEMS} must be lists of one length")
    texts = [*items.tokens, *items.titles]
    lists = all(isinstance(value, list) for value in items.categories)
    if not items.tokens or not lists or not all(isinstance(value, str) for value in texts):
        raise LongInterestError(f"tokens and titles in {ITEMS} must be texts, and categories lists of texts")
    if not all(type(count) is int and count >= 0 for count in items.recent or ()):
        raise LongInterestError(f"recent in {ITEMS} must be numbers of events")
    return items


class _Unset(dict[str, Any]):
    """Options of a file; a missing one is None, which :class:`ModelOptions` refuses."""

    def __missing__(self, key: str) -> None:
        return None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} is broken or was cut short: {error}. Export the checkpoint again.") from error
    if not isinstance(content, dict):
        raise ExportError(f"{path} is broken: it holds {type(content).__name__}. Export the checkpoint again.")
    return content
