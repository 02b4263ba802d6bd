"""The item index: recall and time of the top 10, against scoring every item.

    uv run benchmarks/index.py
    uv run benchmarks/index.py --model exported

Both methods answer the same queries alternately, in blocks, in one process with one thread; ratios are of medians.
Vectors are random. ``clustered`` vectors have clusters of very different sizes in groups, a decaying spectrum and a
wide range of lengths, like trained items, and their queries are noisy mixtures of a few items' vectors. ``gaussian``
vectors have no structure that an index could use. With ``--model``, the vectors are the items of a model, and queries
are interest vectors after short histories. The effort is tuned on other queries than the measured ones. In rows with
rules, recall is the share of the top items of full scoring that the index finds.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from common import make_parser
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.state_keys import ID
from recbole_longinterest.serving.candidates import Admission
from recbole_longinterest.serving.index import VectorSearch
from recbole_longinterest.serving.index.build import calibrate, queries_of
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.model_folder import Items, Served
from recbole_longinterest.serving.recommender import Recommender

TOP, BLOCK, TUNED = 10, 20, 200
FIELDS = {"user": "user_id", "item": "item_id", "rating": "rating", "behavior": "behavior", "time": "timestamp"}


@dataclass
class Case:
    """A catalogue with queries.

    Attributes:
        name: name of the data.
        model: the model with the items.
        tuned: queries to tune the effort, [Q, D].
        measured: other queries, to measure, [Q, D].
    """

    name: str
    model: Recommender
    tuned: Tensor
    measured: Tensor


def main() -> None:
    """Measure and print a table for each catalogue and kind of index."""
    parser = make_parser(__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--kinds", default="ivf,hnsw")
    parser.add_argument("--data", default="clustered,gaussian")
    parser.add_argument("--model", help="folder of an export, instead of random vectors")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sys.stdout.write(
        "| data | index | rules | recall@10 | all scores, ms | index, ms | times faster | built in s | MB |\n"
        "|---|---|---|---:|---:|---:|---:|---:|---:|\n"
    )
    names = ["model"] if args.model else args.data.split(",")
    for name in names:
        case = model_case(args) if args.model else drawn_case(name, args)
        for kind in args.kinds.split(","):
            measure(case, kind)


def model_case(args: argparse.Namespace) -> Case:
    """Make a case from the items of an exported model."""
    model = Recommender.load(args.model)
    return Case("model", model, queries_of(model, TUNED), queries_of(model, args.queries, seed=1))


def drawn_case(name: str, args: argparse.Namespace) -> Case:
    """Make a case with random vectors as the ID embeddings of a model."""
    rng = np.random.default_rng(0)
    make = {"clustered": clustered, "gaussian": gaussian}[name]
    vectors, queries = make(rng, args.items, args.dim, TUNED + args.queries)
    # Keyword arguments, so that new options cannot shift positions.
    options = ModelOptions(
        **{"embedding_size": args.dim, "hidden_size": 8, "num_layers": 1, "rnn_type": "LSTM", "dropout_prob": 0.0},
        **{"hidden_dropout_prob": 0.0, "initializer_range": 0.02, "fusion": "linear", "attention": True},
        **{"attention_heads": 1, "residual": False, "logits": "dot", "repeat_bias": True, "loss_type": "CE"},
        **{"sampled_softmax": 0, "text_dim": 64},
    )
    network = InterestNetwork()
    network.build(options, Sources(args.items + 1))
    weights = network.state_dict()
    weights[ID] = torch.cat([torch.zeros(1, args.dim), torch.from_numpy(vectors)])
    tokens = ["[PAD]", *map(str, range(1, args.items + 1))]
    items = Items(tokens, tokens, [[]] * len(tokens))
    served = Served(options=options, weights=weights, items=items, sources=[], history_limit=None, fields=FIELDS)
    drawn = torch.from_numpy(queries)
    return Case(name, Recommender(served), drawn[:TUNED], drawn[TUNED:])


def clustered(
    rng: np.random.Generator, number: int, dim: int, queries: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Items in 2,000 clusters with Zipf sizes in 50 groups, and queries that mix three items with noise."""
    scale = dim**-0.5
    groups = rng.normal(size=(50, dim)) * 2.0 * scale
    centres = groups[rng.integers(50, size=2000)] + rng.normal(size=(2000, dim)) * 1.2 * scale
    sizes = 1 / np.arange(1, 2001)
    spread = (rng.normal(size=(number, dim)) * np.arange(1, dim + 1) ** -0.5) @ np.linalg.qr(
        rng.normal(size=(dim,) * 2)
    )[0]
    items = centres[rng.choice(2000, number, p=sizes / sizes.sum())] + 0.5 * spread
    items *= np.exp(0.25 * rng.normal(size=(number, 1)))
    picked = items[rng.integers(number, size=(queries, 3))]
    mixed = np.einsum("qed,e->qd", picked, np.array([0.6, 0.3, 0.1])) + rng.normal(size=(queries, dim)) * 0.5 * scale
    return items.astype(np.float32), (3 * mixed).astype(np.float32)


def gaussian(
    rng: np.random.Generator, number: int, dim: int, queries: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Items and queries without structure."""
    drawn = rng.normal(size=(number + queries, dim)).astype(np.float32)
    return drawn[:number], drawn[number:]


def measure(case: Case, kind: str) -> None:
    """Build an index, and print a row for each set of rules."""
    begin = time.perf_counter()
    _, vectors = case.model.network.comparable(case.model.items[:1], case.model.items)
    index = FaissIndex.build(kind, vectors.numpy())
    built = time.perf_counter() - begin
    calibrate(index, vectors, case.tuned)
    size = len(index.to_bytes()) / 1e6
    searches = VectorSearch(case.model), VectorSearch(case.model, index)
    for rules, admission in admissions(case.model.n_items).items():
        seconds: tuple[list[float], list[float]] = [], []
        hits = 0.0
        for block in case.measured.split(BLOCK):
            found = [answers(search, block, admission, times) for search, times in zip(searches, seconds, strict=True)]
            hits += sum(np.isin(one, other).mean() for one, other in zip(*found, strict=True))
        exact, fast = (1e3 * statistics.median(times) for times in seconds)
        sys.stdout.write(
            f"| {case.name} | {kind}, effort {index.effort_for(TOP)} | {rules} | {hits / len(case.measured):.4f} | "
            f"{exact:.2f} | {fast:.3f} | {exact / fast:.1f} | {built:.0f} | {size:.0f} |\n"
        )
        sys.stdout.flush()


def answers(
    search: VectorSearch, queries: Tensor, admission: Callable[[], Admission], seconds: list[float]
) -> list[NDArray[np.int64]]:
    """Find the best items of some queries, and time each query."""
    found = []
    for query in queries.split(1):
        admitted = admission()
        begin = time.perf_counter()
        ids, _ = search.ranking(query).best(TOP, admitted)
        seconds.append(time.perf_counter() - begin)
        found.append(ids)
    return found


def admissions(n_items: int) -> dict[str, Callable[[], Admission]]:
    """Sets of rules by name."""
    rng = np.random.default_rng(1)
    hidden = rng.integers(1, n_items + 1, 200)
    half, few = (rng.random(n_items + 1) < share for share in (0.5, 0.02))
    boost = np.where(rng.random(n_items + 1) < 0.1, np.log(1.2), 0).astype(np.float32)
    return {
        "none": Admission,
        "200 items seen": lambda: Admission(hidden=hidden),
        "half may be shown": lambda: Admission(half, hidden=hidden),
        "2 % may be shown": lambda: Admission(few, hidden=hidden),
        "a tenth raised by 1.2": lambda: Admission(boost=boost, hidden=hidden),
    }


if __name__ == "__main__":
    main()
