"""Train vectors of entities and relations with a model of PyTorch Geometric (extra ``graph``)."""

import warnings
from logging import getLogger
from time import monotonic

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.common.notebook import Bar, progress_bar
from recbole_longinterest.common.packages import require
from recbole_longinterest.data.graph.held_out import HeldOut, hold_out
from recbole_longinterest.data.graph.settings import PAIRED, GraphSettings
from recbole_longinterest.data.graph.store import GraphStore, GraphVectors
from recbole_longinterest.data.graph.triples import KnowledgeGraph

BATCH = 1024  # triples per batch
LEARNING_RATE = 0.01
PATIENCE = 10  # stop after this many epochs without a better value on the held-out triples
SECONDS_A_STATE = 30.0  # time between saved states: an interrupted training loses little more
MOMENTS = ("exp_avg", "exp_avg_sq")


def graph_vectors(
    graph: KnowledgeGraph, settings: GraphSettings, device: torch.device | str = "cpu", show_progress: bool = True
) -> GraphVectors:
    """Read the vectors of a graph from the cache, or train and cache them.

    The same graph, settings and machine give the same vectors. After an interruption the next call continues from the
    last saved state. Models: Bordes et al. 2013 (TransE), Yang et al. 2015 (DistMult), Trouillon et al. 2016 (ComplEx),
    Sun et al. 2019 (RotatE). Each triple gets one negative, with a random head or tail. The training stops after
    :data:`PATIENCE` epochs without a better rank of held-out triples, and the best epoch's vectors are kept.

    Args:
        graph: the triples.
        settings: settings that are already checked.
        device: device to train on.
        show_progress: show a progress bar.

    Raises:
        MissingPackage: if a training is needed and PyTorch Geometric is not installed.
    """
    store = GraphStore(graph, settings)
    found = store.load()
    if found is None:
        require("torch_geometric", "A source of a knowledge graph (kind: graph)")
        device = torch.device(device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            found = _Fit(graph, settings, device, store).run(show_progress)
        store.save(found)
    getLogger().info(
        f"Knowledge graph: {len(graph.entities)} entities, {len(graph.relations)} relations, {len(graph.triples)} "
        f"triples; vectors by {settings.model} in {store.folder}."
    )
    return found


class _Fit:
    """A training. An epoch depends only on its number and the state before it, so resuming changes no result."""

    def __init__(self, graph: KnowledgeGraph, settings: GraphSettings, device: torch.device, store: GraphStore) -> None:
        triples, held_out = hold_out(graph.triples, settings.seed)
        torch.manual_seed(settings.seed)
        self.model = _model(len(graph.entities), len(graph.relations), settings).to(device)
        self.optimizer = torch.optim.SparseAdam(list(self.model.parameters()), lr=LEARNING_RATE)
        self.triples = torch.as_tensor(triples).to(device)
        self.held_out: HeldOut | None = held_out
        self.settings, self.store = settings, store
        self.epoch, self.values = 0, list[float]()
        self.best: dict[str, Tensor] = {}

    def run(self, show_progress: bool) -> GraphVectors:
        """Train to the end and return the vectors of the best epoch."""
        self._resume()
        written, epochs = monotonic(), self.settings.epochs
        with progress_bar(
            total=epochs, initial=self.epoch, desc="Knowledge graph", unit="epoch", disable=not show_progress
        ) as bar:
            while self.epoch < epochs and not self._is_over():
                self._one_epoch(bar)
                if monotonic() - written >= SECONDS_A_STATE:
                    self._keep_state()
                    written = monotonic()
        return _vectors(self.best or self.model.state_dict(), self.settings.model)

    def _one_epoch(self, bar: Bar) -> None:
        self.epoch += 1
        torch.manual_seed(self.settings.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.triples)).to(self.triples.device)
        for rows in order.split(BATCH):
            self.optimizer.zero_grad()
            self.model.loss(*self.triples[rows].unbind(dim=1)).backward()  # type: ignore[operator]
            self.optimizer.step()
        if self.held_out is not None:
            value = self.held_out.value(self.model)
            if value > max(self.values, default=-1.0):
                self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.values.append(value)
            bar.set_postfix_str(f"{value:.4f} held out")
        bar.update()

    def _is_over(self) -> bool:
        return len(self.values) > PATIENCE and int(np.argmax(self.values)) < len(self.values) - PATIENCE

    def _keep_state(self) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for place, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"moments.{place}.{name}": moments[name] for name in MOMENTS}
            tensors[f"moments.{place}.step"] = torch.tensor(moments["step"])
        self.store.write_state(self.epoch, self.values, tensors)

    def _resume(self) -> None:
        """Restore the state that an earlier call saved, if there is one."""
        state = self.store.read_state()
        if state is None:
            return
        epoch, values, tensors = state
        device = self.triples.device
        model = {name: tensors[f"model.{name}"].to(device) for name in self.model.state_dict()}
        self.model.load_state_dict(model)
        self.best = {name: tensors[f"best.{name}"].to(device) for name in model if f"best.{name}" in tensors}
        moments = self.optimizer.state_dict()
        moments["state"] = {
            place: {
                "step": int(tensors[f"moments.{place}.step"]),
                **{name: tensors[f"moments.{place}.{name}"].to(device) for name in MOMENTS},
            }
            for place in range(len(list(self.model.parameters())))
        }
        self.optimizer.load_state_dict(moments)
        self.epoch, self.values = epoch, values


def _model(n_entities: int, n_relations: int, settings: GraphSettings) -> nn.Module:
    with warnings.catch_warnings():  # PyTorch Geometric causes warnings of torch
        warnings.simplefilter("ignore")
        from torch_geometric.nn import kge  # belongs to the extra graph
    size = settings.dim // 2 if settings.model in PAIRED else settings.dim
    more = {"p_norm": 2.0} if settings.model == "TransE" else {}
    network: nn.Module = getattr(kge, settings.model)(n_entities, n_relations, size, sparse=True, **more)
    return network


def _vectors(state: dict[str, Tensor], model: str) -> GraphVectors:
    entities, relations = state["node_emb.weight"], state["rel_emb.weight"]
    if model == "TransE":  # TransE normalises entities before scoring
        entities = functional.normalize(entities, dim=-1)
    if model in PAIRED:
        entities = torch.cat([entities, state["node_emb_im.weight"]], dim=1)
    if model == "ComplEx":
        relations = torch.cat([relations, state["rel_emb_im.weight"]], dim=1)
    return GraphVectors(entities.cpu().numpy(), relations.cpu().numpy())
