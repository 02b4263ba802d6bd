"""Cost of one event: LongInterest's state against RecBole's SASRec and GRU4Rec, which encode their window again.

    uv run benchmarks/latency.py --output DIR

For each catalogue and history length, it measures alternately in one process: updating a state with an event
(`update`), and that plus the ten best unseen items (`update + top 10`), with both engines. RecBole's models encode
their last 200 events and rank in the same way. Weights are random, because latency does not depend on them. Then it
measures a thousand users at once. Results are medians and 99th percentiles in microseconds. Compare times only within
one run.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import make_parser, write_csv
from recbole.model.sequential_recommender import GRU4Rec, SASRec

from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.serving.engines import engine_of, writer_of
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.model_folder import Items, Served, read_folder, write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState, recommend_states, update_states

SPECS = [
    SourceSpec("rating", "rating", "rating", settings={"values": [1.0, 2.0, 3.0, 4.0, 5.0], "range": None}),
    SourceSpec("time", "time", "timestamp"),
]
OPTIONS = ModelOptions(  # the defaults; keyword arguments, so that new options cannot shift positions
    **{"embedding_size": 64, "hidden_size": 128, "num_layers": 1, "rnn_type": "LSTM", "dropout_prob": 0.3},
    **{"hidden_dropout_prob": 0.3, "initializer_range": 0.02, "fusion": "linear", "attention": True},
    **{"attention_heads": 1, "residual": False, "logits": "dot", "repeat_bias": True, "loss_type": "CE"},
    **{"sampled_softmax": 0, "text_dim": 64},
)
WINDOW, TOP, USERS = 200, 10, 1000
BLOCK = 20  # calls of one case before switching to the next
FIELDS = {"user": "user_id", "item": "item_id", "rating": "rating", "behavior": "behavior", "time": "timestamp"}
RECBOLE = {  # RecBole's defaults
    **{"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "LIST_SUFFIX": "_list", "NEG_PREFIX": "neg_"},
    **{"ITEM_LIST_LENGTH_FIELD": "item_length", "MAX_ITEM_LIST_LENGTH": WINDOW, "device": "cpu", "loss_type": "CE"},
}
SASREC = {
    **{"n_layers": 2, "n_heads": 2, "hidden_size": 64, "inner_size": 256, "hidden_act": "gelu"},
    **{"hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.5, "layer_norm_eps": 1e-12, "initializer_range": 0.02},
}
GRU4REC = {"embedding_size": 64, "hidden_size": 128, "num_layers": 1, "dropout_prob": 0.3}


class Catalogue:
    """The part of a data set's interface that RecBole's models use."""

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items

    def num(self, field: str) -> int:
        """Number of items with the padding."""
        return self.n_items + 1


def main() -> None:
    """Measure, print a table and write latency.csv."""
    parser = make_parser(__doc__)
    parser.add_argument("--output", type=Path, default=Path("latency"))
    parser.add_argument("--catalogues", default="10000,100000,1000000", help="numbers of items")
    parser.add_argument("--histories", default="10,100,1000,10000", help="numbers of events before the measured one")
    parser.add_argument("--repeats", type=int, default=300, help="measurements of each case")
    parser.add_argument("--engines", default="torch,onnx")
    parser.add_argument("--threads", type=int, default=1, help="threads of every engine")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for n_items in map(int, args.catalogues.split(",")):
        with tempfile.TemporaryDirectory() as scratch:
            models = make_models(n_items, args.engines.split(","), Path(scratch))
            for length in map(int, args.histories.split(",")):
                rows += measure(one_user(models, n_items, length), args.repeats, items=n_items, events=length)
            rows += measure(many_users(models, n_items), max(3, args.repeats // 30), items=n_items, events=WINDOW)
    write_csv(args.output / "latency.csv", rows)
    sys.stdout.write(report(rows))


def make_models(n_items: int, engines: list[str], scratch: Path) -> dict[str, Any]:
    """LongInterest with each engine, SASRec and GRU4Rec, for a catalogue of this size."""
    network = InterestNetwork()
    network.build(OPTIONS, Sources(n_items + 1, events=SPECS))
    tokens = ["[PAD]", *map(str, range(1, n_items + 1))]
    served = Served(
        options=OPTIONS,
        weights=network.state_dict(),
        items=Items(tokens, tokens, [[] for _ in tokens]),
        sources=SPECS,
        history_limit=None,
        fields=FIELDS,
    )
    folder = scratch / "model"
    write_folder(served, folder, writer_of([engine_of(name) for name in engines], served))
    models: dict[str, Any] = {f"LongInterest, {engine}": Recommender(read_folder(folder), engine) for engine in engines}
    models["SASRec"] = SASRec({**RECBOLE, **SASREC}, Catalogue(n_items)).eval()
    models["GRU4Rec"] = GRU4Rec({**RECBOLE, **GRU4REC}, Catalogue(n_items)).eval()
    return models


def random_events(number: int, n_items: int, seed: int = 0) -> list[Event]:
    """Random events with Zipf-distributed items, ratings and times."""
    rng = np.random.default_rng(seed)
    items = np.minimum(rng.zipf(1.2, number), n_items)
    ratings, times = rng.integers(1, 6, number), rng.integers(1, 10**5, number).cumsum()
    return [Event(str(i), float(r), None, float(t)) for i, r, t in zip(items, ratings, times, strict=True)]


def one_user(models: dict[str, Any], n_items: int, length: int) -> dict[tuple[str, str], Callable[[], object]]:
    """The cases of one user with this many events."""
    events = random_events(length + 5000, n_items)
    cases: dict[tuple[str, str], Callable[[], object]] = {}
    for name, model in models.items():
        if isinstance(model, Recommender):
            states = [model.start(), model.start()]
            for event in events[:length]:
                update_states(states, [event] * 2)
            cases[name, "update"] = _updates(states[0], events[length:], top=False)
            cases[name, "update + top 10"] = _updates(states[1], events[length:], top=True)
        else:
            window = torch.tensor([[int(event.item) for event in events[:length][-WINDOW:]]])
            seq = torch.nn.functional.pad(window, (0, WINDOW - window.shape[1]))
            encode, rank = _recbole(model, seq, torch.tensor([window.shape[1]]))
            cases[name, "update"], cases[name, "update + top 10"] = encode, rank
    return cases


def _updates(state: InterestState, events: list[Event], top: bool) -> Callable[[], object]:
    """A function that processes the next event at every call."""
    coming = iter(events)

    def call() -> None:
        state.update(next(coming))
        if top:
            state.recommend(TOP)

    return call


def _recbole(model: Any, seq: torch.Tensor, length: torch.Tensor) -> tuple[Callable[[], object], Callable[[], object]]:  # noqa: ANN401
    @torch.inference_mode()
    def encode() -> torch.Tensor:
        return model(seq, length)

    @torch.inference_mode()
    def rank() -> object:
        scores = model(seq, length) @ model.item_embedding.weight.T
        scores[:, 0] = -torch.inf
        return scores.scatter_(1, seq, -torch.inf).topk(TOP, dim=1).indices.tolist()

    return encode, rank


def many_users(models: dict[str, Any], n_items: int) -> dict[tuple[str, str], Callable[[], object]]:
    """The cases of a thousand users in one call."""
    cases: dict[tuple[str, str], Callable[[], object]] = {}
    for name, model in models.items():
        what = f"{USERS} users"
        if isinstance(model, Recommender):
            states = [model.start() for _ in range(USERS)]
            streams = [iter(random_events(400, n_items, seed)) for seed in range(USERS)]

            def update(states: list[InterestState] = states, streams: list[Any] = streams) -> None:
                update_states(states, [next(stream) for stream in streams])

            def rank(states: list[InterestState] = states, update: Callable[[], None] = update) -> None:
                update()
                step = max(1, 2**24 // n_items)
                for begin in range(0, len(states), step):
                    recommend_states(states[begin : begin + step], TOP)

            cases[name, f"{what}, update"] = update
            if n_items <= 10**5:
                cases[name, f"{what}, update + top 10"] = rank
        elif n_items <= 10**4:
            seq = torch.randint(1, n_items, (USERS, WINDOW))
            encode, _ = _recbole(model, seq, torch.full((USERS,), WINDOW))
            cases[name, f"{what}, update"] = encode
    return cases


def measure(cases: dict[tuple[str, str], Callable[[], object]], repeats: int, **where: int) -> list[dict[str, Any]]:
    """Median and 99th percentile of each case; cases alternate in blocks of calls."""
    times: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for done in range(0, repeats, BLOCK):
        for case, call in cases.items():
            call()  # warms the CPU caches for this case
            for _ in range(min(BLOCK, repeats - done)):
                started = time.perf_counter()
                call()
                times[case].append((time.perf_counter() - started) * 1e6)
    return [
        {
            **where,
            "model": name,
            "what": what,
            "median_us": round(statistics.median(values), 1),
            "p99_us": round(float(np.percentile(values, 99)), 1),
        }
        for (name, what), values in times.items()
    ]


def report(rows: list[dict[str, Any]]) -> str:
    """Render a table, and the ratios that have target values."""
    lines = ["| items | events | what | model | median us | p99 us | x SASRec |", "|---|---|---|---|---|---|---|"]
    median = {(row["items"], row["events"], row["what"], row["model"]): row["median_us"] for row in rows}
    for row in rows:
        against = median.get((row["items"], row["events"], row["what"], "SASRec"))
        ratio = f"{against / row['median_us']:.1f}" if against else ""
        lines.append(
            f"| {row['items']:,} | {row['events']:,} | {row['what']} | {row['model']} | {row['median_us']:,} | "
            f"{row['p99_us']:,} | {ratio} |"
        )
    for name in sorted({row["model"] for row in rows if row["model"].startswith("LongInterest")}):
        for what in ("update", "update + top 10"):
            for n_items in sorted({row["items"] for row in rows}):
                case = n_items, what, name
                found = [value for (items, _, w, model), value in median.items() if (items, w, model) == case]
                spread = max(found) / min(found)
                lines.append(f"{name}, {what}, {n_items:,} items: slowest over fastest history {spread:.2f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
