"""Make a new checkpoint of an old one and new events, without training from the start. The old one does not change.

The new checkpoint's data are the old events and the new ones, merged into a folder beside it, so that everything that
reads a trained checkpoint reads it. Tables grow by token (`nn.table_growth`). New events are trained on together with a
sample of old ones (`replay`). An update that was stopped resumes when it is called again, as every training does
(`plugin.runs.resume`).
"""

import copy
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.config import Config
from torch import Tensor

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import atomic_file, atomic_folder, write_text
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.common.known_places import remember
from recbole_longinterest.common.leftovers import discard, remove
from recbole_longinterest.common.version import __version__
from recbole_longinterest.data.item_texts import make_encoder
from recbole_longinterest.data.item_vectors import ItemVectors
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.nn.state_keys import ID, TEXT, TRAINED, item_key, values_key
from recbole_longinterest.nn.table_growth import TextRows, grow_state, old_ids, part_of_the_way, train_only
from recbole_longinterest.plugin.longinterest import LongInterest
from recbole_longinterest.plugin.runs.checkpoints import LAST, load_checkpoint, save_checkpoint
from recbole_longinterest.plugin.runs.places import PLACES
from recbole_longinterest.text.cache import encode_cached
from recbole_longinterest.text.folder import EncoderError
from recbole_longinterest.text.whitening import Whitening
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import check_values
from recbole_longinterest.training.update.merge import Merged, MergeError, merge
from recbole_longinterest.training.update.parent import SHOWN, Parent, UpdateError, texts_of, tokens_of
from recbole_longinterest.training.update.record import DEFAULTS, key_of, record_of, settings_of
from recbole_longinterest.training.update.replay import Keys, ReplayDataset

PARENT_EVENTS = 1000  # this number of new events moves the weights half of the way to those trained on them
WORK = "training"  # in the folder of merged data: the files of the training, while it runs
MERGED = "merged.json"  # in the folder of merged data: names the update that they belong to


@dataclass(frozen=True)
class Updated:
    """What an update did.

    Attributes:
        checkpoint: the new file.
        merged: what the new files brought.
        changed_texts: items of the old catalogue whose text is new or has changed.
        items: items of the catalogue.
        new_targets: events that were trained on for the first time.
        old_targets: events that were replayed.
        trained: names of the parameters that were trained; empty if the update was made before.
        seconds: of the training.
        total_seconds: of everything.
    """

    checkpoint: Path
    merged: Merged
    changed_texts: int
    items: int
    new_targets: int
    old_targets: int
    trained: list[str]
    seconds: float
    total_seconds: float


def update_checkpoint(
    checkpoint: str | Path,
    inter: str | Path,
    item: str | Path | None = None,
    output: str | Path | None = None,
    *,
    scope: str = "head",
    replay: float = 1.0,
    without_text: bool = False,
    data_path: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Updated:
    """Update a trained model with new events, users and items.

    The weights move from the parent's a part of the way to those trained on the new events: ``m / (m + 1000)`` for
    ``m`` events. They move all the way if validation chooses the epoch (``eval_step``), and in the rows of new items.

    Args:
        checkpoint: of LongInterest, from a training or an update.
        inter: an ``.inter`` file of new events, with the columns that the training read. Events that the training's
            data have already are counted once.
        item: an ``.item`` file of new items and of items whose text changed.
        output: the new checkpoint; ``<checkpoint>-update-<hash>.pth`` if None, where the hash follows from parent,
            files and settings. ``<output>.data`` beside it holds the merged data. A training resumes from
            ``<output>.last``.
        scope: what is trained, see :func:`~recbole_longinterest.nn.table_growth.train_only`.
        replay: old targets replayed for each new one, ``replay.LEAST`` at least; 0 replays none.
        without_text: add new items without encoding their texts.
        data_path: folder above the data set's, if it has moved since training.
        settings: any of :data:`~recbole_longinterest.training.update.record.DEFAULTS` and
            :data:`~recbole_longinterest.training.update.record.FREE`, and places that the checkpoint names and this
            user never has, as ``text_encoder`` (`plugin.runs.places`). With ``eval_step: 1`` the epoch is chosen by
            validation.

    Returns:
        What was done. The same update gives the same file. If it was made before, nothing is done.

    Raises:
        LongInterestError: for a checkpoint, file, setting or encoder that cannot be used.
    """
    started = time.monotonic()
    checkpoint = Path(checkpoint)
    inter, item = Path(inter), None if item is None else Path(item)
    named = {name: value for name, value in (settings or {}).items() if name in PLACES}
    parent = Parent(checkpoint, {**named, "data_path": data_path})
    others = {name: value for name, value in (settings or {}).items() if name not in PLACES}
    chosen, free = settings_of(parent.config, scope, replay, without_text, others)
    record = record_of(checkpoint, inter, item, chosen)
    output = Path(output or checkpoint.with_name(f"{checkpoint.stem}-update-{key_of(record)}.pth")).absolute()
    if output == checkpoint.absolute():
        raise UpdateError(f"An update does not write over its parent {checkpoint}. Give another --output.")
    with lock_files(output, "updating to", "give another --output"):
        if output.is_file():
            return _found(output, record, time.monotonic() - started)
        return _Update(parent, record, inter, item, output, free).run(started)


def _found(output: Path, record: dict[str, Any], seconds: float) -> Updated:
    """The result of an update that was made before."""
    config = load_checkpoint(output)["config"]
    entry = (config["lineage"] or [{}])[-1]
    if {name: entry.get(name) for name in record} != record:
        raise UpdateError(f"{output} is there already and is not this update. Give another --output.")
    remove(output.with_name(f"{output.name}.data") / WORK)  # of an update that was killed at its very end
    counts = {name: entry[name] for name in ("changed_texts", "items", "new_targets", "old_targets")}
    return Updated(output, Merged(**entry["merged"]), trained=[], seconds=0.0, total_seconds=seconds, **counts)


class _Update:
    """One update, from its files to its checkpoint."""

    def __init__(
        self,
        parent: Parent,
        record: dict[str, Any],
        inter: Path,
        item: Path | None,
        output: Path,
        free: dict[str, Any],
    ) -> None:
        self.parent, self.record, self.output = parent, record, output
        self.inter, self.item = inter, item
        self.folder = output.with_name(f"{output.name}.data")
        self.work = self.folder / WORK
        self.settings = record["settings"]
        self.free = {name: value for name, value in free.items() if value is not None}
        self.trained: list[str] = []
        self.changed_texts = 0
        self._start_weights: dict[str, Tensor] = {}
        self._new_items = torch.zeros(0, dtype=torch.bool)

    def run(self, started: float) -> Updated:
        config = self._config(self.parent.config)
        chosen = {name: value for name, value in self.settings.items() if name in DEFAULTS}
        config.final_config_dict.update(chosen, **self.free, resume=True, checkpoint_dir=str(self.work))
        if self.settings["scope"] != "all":
            config["weight_decay"] = 0.0  # it would move what is not trained
        check_values(config)
        merged = self._merge()
        data = ReplayDataset(config)
        data.known, data.replay = self.parent.trained_keys, self.settings["replay"]
        self._check_features(data)
        began = time.monotonic()
        trained = pipeline.train(config, dataset=data, start=lambda model: self._start(model, data))
        seconds = time.monotonic() - began
        counts = {
            "changed_texts": self.changed_texts,
            "items": data.item_num - 1,
            "new_targets": data.new_targets,
            "old_targets": data.old_targets,
        }
        file = Path(trained.trainer.saved_model_file)
        self._finish(file, data.full_rows, data.shown, {**counts, "merged": merged.to_dict()})
        total = time.monotonic() - started
        return Updated(self.output, merged, trained=self.trained, seconds=seconds, total_seconds=total, **counts)

    def _merge(self) -> Merged:
        """The merged data: of an update that was stopped, or made now."""
        about = self.folder / MERGED
        if about.is_file():
            known = read_json(about)
            if known["record"] == self.record and known["merged"] and Path(self._data).is_dir():
                return Merged(**known["merged"])
            if (self.folder / SHOWN).is_file() or self.folder in Path(
                self.parent.config["data_path"]
            ).absolute().parents:
                raise UpdateError(f"{self.folder} holds the data of another checkpoint. Give another --output.")
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise UpdateError(f"{self.folder} is there already and of something else. Give another --output.")
        discard(self.folder)
        with atomic_folder(self.folder) as draft:
            write_text(draft / MERGED, json.dumps({"record": self.record, "merged": None}))  # stopped, merged again
        try:
            merged = merge(self.parent.config, self.inter, self.item, self._data)
        except MergeError:
            discard(self.folder)
            raise
        write_text(about, json.dumps({"record": self.record, "merged": merged.to_dict()}))
        return merged

    @property
    def _data(self) -> Path:
        return self.folder / str(self.parent.config["dataset"])

    def _config(self, parent: Config) -> Config:
        """The parent's config over the merged data."""
        config = copy.deepcopy(parent)
        values = {spec.name: self.parent.weights.get(values_key(spec.name)) for spec in self.parent.sources}
        levels = {name: value.tolist() for name, value in values.items() if value is not None}
        config.final_config_dict.update(
            data_path=str(self._data),
            rating_levels=levels.pop("rating", None),
            source_levels=levels or None,
            resume=False,
            save_dataset=False,
            dataset_save_path=None,
            save_dataloaders=False,
            dataloaders_save_path=None,
        )
        return config

    def _check_features(self, data: ReplayDataset) -> None:
        old = self.parent.data
        if data.features != old.features:
            raise UpdateError(f"The merged data give the features {data.features}, and the model has {old.features}.")

    def _check_ranges(self, now: Sequence[SourceSpec]) -> None:
        """Numbers must be normalised as the parent's were; the split of the merged data has made the ranges known."""
        old = {spec.name: spec.settings.get("range") for spec in self.parent.sources}
        for spec in now:
            before, after = old.get(spec.name), spec.settings.get("range")
            if before != after:
                what = "Ratings" if spec.name == "rating" else f"Values of {spec.name}"
                raise UpdateError(
                    f"{what} were normalised by their range {before}, and with the new events it is {after}: every old "
                    "value would mean another. Leave those events out, or train anew."
                )

    def _start(self, model: LongInterest, data: ReplayDataset) -> None:
        """Give the model the parent's weights, grown, and freeze what is not trained."""
        now = [source.spec for source in model.fusion.sources.values()]
        self._check_ranges(now)
        tokens = tokens_of(data, data.iid_field)
        items = old_ids(self.parent.tokens, tokens)
        vectors = item_key(TEXT, "vectors")
        texts = self._texts(data, tokens, items) if vectors in self.parent.weights else None
        before = {spec.name: spec.settings.get("tokens", []) for spec in self.parent.sources}
        grown = {spec.name: old_ids(before[spec.name], spec.settings["tokens"]) for spec in now if before[spec.name]}
        filling = model.state_dict().get(ID)
        old = {name: value.cpu() for name, value in self.parent.weights.items()}
        state = grow_state(old, items, texts, grown, None if filling is None else filling.cpu())
        shown = data.training_count > 0 if vectors in state else torch.arange(len(tokens)) > 0
        new_items = shown & ~state[TRAINED]
        state[TRAINED] = state[TRAINED] | shown
        model.load_state_dict(state)
        self.trained = train_only(model, self.settings["scope"], new_items)
        self._start_weights, self._new_items = {name: state[name] for name in self.trained}, new_items

    def _texts(self, data: ReplayDataset, tokens: list[str], items: Tensor) -> TextRows | None:
        """Vectors of texts that are new or changed, in the space of the parent's."""
        had = (items >= 0) & self.parent.weights[item_key(TEXT, "present")].cpu()[
            items.clamp(min=0)
        ]  # which have a text already
        if isinstance(data.text_source, ItemVectors):
            rows, vectors = data.text_source.rows()
            chosen = [place for place, row in enumerate(rows) if not had[row]]
            return self._whitened([rows[place] for place in chosen], vectors[chosen]) if chosen else None
        if self.settings["without_text"]:
            return None
        before, now = self.parent.texts(), texts_of(data.config)
        known = items.tolist()
        rows = [
            row
            for row, token in enumerate(tokens)
            if row and now.get(token) and not (had[row] and now[token] == before.get(token))
        ]
        self.changed_texts = sum(known[row] >= 0 for row in rows)
        if not rows:
            return None
        encoder = make_encoder(data.config)
        try:
            vectors = encode_cached([now[tokens[row]] for row in rows], encoder, show_progress=False)
        except EncoderError as error:
            raise UpdateError(
                f"{len(rows)} new or changed texts need the text encoder of the training: {error} Or take the items "
                "in without their texts: --without_text."
            ) from error
        encoder.unload()
        return self._whitened(rows, vectors)

    def _whitened(self, rows: list[int], vectors: NDArray[np.floating]) -> TextRows:
        keys = (item_key(TEXT, part) for part in ("mean", "whitening"))
        mean, projection = (self.parent.weights[key].cpu().numpy() for key in keys)
        if vectors.shape[1] != len(mean):
            raise UpdateError(
                f"The new items' vectors have {vectors.shape[1]} dimensions and those of the training had {len(mean)}. "
                "Give the encoder or the vectors of the training."
            )
        return TextRows(torch.tensor(rows), torch.from_numpy(Whitening(mean, projection).transform(vectors)))

    def _finish(self, trained: Path, rows: int, shown: Keys, done: dict[str, Any]) -> None:
        """Write the new checkpoint and what a training goes on from; then remove what the update worked with."""
        config = self._config(self.parent.config)
        entry = {**self.record, **done, "made_by": f"recbole-longinterest {__version__}"}
        # Through text, or which strings are one object, which a pickle shows, would say whether the update was stopped.
        config["lineage"] = [*(config["lineage"] or []), json.loads(json.dumps(entry))]
        best, last = load_checkpoint(trained), load_checkpoint(f"{trained}{LAST}")
        if not self.settings["eval_step"]:  # else validation has said how good just these weights are
            share = done["new_targets"] / (done["new_targets"] + PARENT_EVENTS)
            best["state_dict"].update(part_of_the_way(self._start_weights, best["state_dict"], share, self._new_items))
        for group in last["optimizer"]["param_groups"]:  # from here on as the parent's training
            group.update(lr=config["learning_rate"], weight_decay=config["weight_decay"])
        last["run"].update(rows=rows, stopped=False, best_file=self.output.name)
        with atomic_file(self.folder / SHOWN) as draft, draft.open("wb") as file:
            np.save(file, shown, allow_pickle=False)
        save_checkpoint({**last, "config": config}, self.output.with_name(self.output.name + LAST))
        save_checkpoint({**best, "config": config}, self.output)
        remember("data_path", self._data)
        remove(self.work)
