"""Size, latency and quality of a served model for each precision and engine.

    uv run benchmarks/compression.py --checkpoint FILE --history FILE

The checkpoint is exported in fp32 and int8, each with ONNX files. For every user of the history, the last event is the
target and the others are read as a stream (RecBole's leave-one-out test, with seen items ranked too). The table has
NDCG@10, the share of users with the same top 10 as fp32 with torch, and the median time of an update and top 10 in
microseconds.
"""

import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import make_parser, ndcg

from recbole_longinterest.serving.engines.onnx import SCORES, STEP
from recbole_longinterest.serving.event_files import read_events
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.model_folder import ITEMS, SETTINGS, WEIGHTS
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState, states_of, update_states
from recbole_longinterest.training.export import export_checkpoint

TOP = 10
WAYS = (("fp32", "torch"), ("int8", "torch"), ("fp32", "onnx"), ("int8", "onnx"))


def main() -> None:
    """Measure, and print a table."""
    parser = make_parser(__doc__)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--history", required=True, help=".csv, .jsonl or .inter")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["| model | engine | MB | update + top 10, us | NDCG@10 | same top 10 |", "|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for precision in ("fp32", "int8"):
            folders[precision] = Path(scratch, precision)
            export_checkpoint(args.checkpoint, folders[precision], int8=precision == "int8", onnx=True)
        reference: list[list[int]] = []
        for precision, engine in WAYS:
            model = Recommender.load(folders[precision], engine)
            table = read_events(args.history, model.served.fields)
            histories = [h for h in model.read_table(table).values() if len(h) > 1]
            states = states_of(model, [history.keep(slice(0, len(history) - 1)) for history in histories])
            ranked = [
                [item for item, _ in model.best(state.interest, TOP, [state.seen], exclude_seen=False)[0]]
                for state in states
            ]
            reference = reference or ranked
            targets = [int(history.item_seq[-1]) for history in histories]
            ranks = [
                1 + row.index(item) if item in row else math.inf for row, item in zip(ranked, targets, strict=True)
            ]
            same = statistics.mean(set(a) == set(b) for a, b in zip(ranked, reference, strict=True))
            used = [ITEMS, SETTINGS, *((STEP, SCORES) if engine == "onnx" else (WEIGHTS,))]
            size = sum((folders[precision] / name).stat().st_size for name in used) / 1e6
            lines.append(
                f"| {precision} | {engine} | {size:.2f} | {latency(model, states[0]):.0f} | "
                f"{ndcg(ranks).mean():.4f} | {same:.1%} |"
            )
    sys.stdout.write("\n".join(lines) + f"\n{len(histories)} users\n")


def latency(model: Recommender, state: InterestState, repeats: int = 300) -> float:
    """Median microseconds of an update and top 10."""
    tokens, times = model.served.items.tokens, []
    for number in range(repeats):
        event = Event(tokens[1 + number % model.n_items], 4.0, None, state.last_time + 60)
        started = time.perf_counter()
        update_states([state], [event])
        state.recommend(TOP)
        times.append((time.perf_counter() - started) * 1e6)
    return statistics.median(times)


if __name__ == "__main__":
    main()
