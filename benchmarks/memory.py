"""Gain of the memory of transitions over a trained network, and sensitivity to its constants.

    uv run recbole-li run --dataset ml-100k --memory=off --checkpoint_dir=saved
    uv run benchmarks/memory.py --checkpoint saved/NAME.pth

The checkpoint comes from a run without the memory, so the network and its best epoch do not depend on it. Its scores
are computed once; the memory is counted on its training data and added with each weight, and with each constant changed
separately. Results are NDCG@10, native and seen-masked; then by frequency of the test targets in training (half of the
events are on head items; the rarer half of all items is the tail), and by the number of events of the users. Nothing is
tuned here: the constants of `nn/memory.py` and `nn/transitions.py` are in the middle of flat ranges on four data sets,
and are the same for all.
"""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import make_parser, ndcg, write_csv

from recbole_longinterest.nn import memory as memory_module
from recbole_longinterest.nn import transitions as transitions_module
from recbole_longinterest.nn.memory import TransitionMemory, last_items, tables_of
from recbole_longinterest.plugin.runs.seen_masked import TargetRows, masked_ranks, seen_pairs

WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
CHANGES: tuple[tuple[str, dict[str, float]], ...] = (
    ("only items that came after", {"BACKWARD": 0.0}),
    ("items that came before count as much", {"BACKWARD": 1.0}),
    ("lag decay .5", {"LAG_DECAY": 0.5}),
    ("lag decay .85", {"LAG_DECAY": 0.85}),
    ("20 lags", {"LAGS": 20}),
    ("age decay .4", {"AGE_DECAY": 0.4}),
    ("age decay .8", {"AGE_DECAY": 0.8}),
    ("prior 0.1", {"PRIOR": 0.1}),
    ("prior 10", {"PRIOR": 10.0}),
    ("unit .001", {"UNIT": 0.001}),
    ("unit .01", {"UNIT": 0.01}),
    ("20 followers an item", {"size": 20}),
    ("50 followers an item", {"size": 50}),
    ("400 followers an item", {"size": 400}),
)


@contextlib.contextmanager
def changed(**constants: float) -> Iterator[None]:
    """Change constants of the two modules inside this context."""
    modules = (transitions_module, memory_module)
    before = {
        (module, name): getattr(module, name) for module in modules for name in constants if hasattr(module, name)
    }
    for module, name in before:
        setattr(module, name, constants[name])
    try:
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


def main() -> None:
    """Measure, print a table and write memory.csv."""
    import recbole_longinterest  # noqa: F401 - registers the model

    parser = make_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("memory"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    from recbole.quick_start import load_data_and_model

    sys.argv = sys.argv[:1]  # RecBole reads it
    logging.disable(logging.WARNING)
    _, model, _, train, valid, test = load_data_and_model(str(args.checkpoint))
    model.eval().memory = None
    part = train._dataset
    ways: list[tuple[str, float, TransitionMemory | None, dict[str, float]]] = [("network alone", 0.0, None, {})]
    plain = _counted(part, 100)
    ways += [("memory alone", 1.0, plain, {})]
    ways += [(f"together, weight {weight}", weight, plain, {}) for weight in WEIGHTS]
    for name, constants in CHANGES:
        counted = {key: value for key, value in constants.items() if key != "size"}
        with changed(**counted):
            ways.append((name, 1.0, _counted(part, int(constants.get("size", 100))), counted))
    found = {phase: _gains(model, loader, ways) for phase, loader in (("validation", valid), ("test", test))}
    rows = []
    for number, (name, *_) in enumerate(ways):
        row: dict[str, object] = {"way": name}
        for phase, (native, masked, _) in found.items():
            row[phase], row[f"{phase}, seen-masked"] = (f"{gain[number].mean():.4f}" for gain in (native, masked))
        native, _, groups = found["test"]
        for group, mask in _groups(groups, part).items():
            row[f"{group} ({int(mask.sum())})"] = f"{native[number][mask].mean():.4f}" if mask.any() else ""
        rows.append(row)
    write_csv(args.output / "memory.csv", rows)
    sys.stdout.write("| " + " | ".join(rows[0]) + " |\n" + "|---" * len(rows[0]) + "|\n")
    for row in rows:
        sys.stdout.write("| " + " | ".join(map(str, row.values())) + " |\n")


def _counted(part: Any, size: int) -> TransitionMemory:  # noqa: ANN401 - LongInterest's data set
    made = TransitionMemory(part.item_num, size, 1.0)
    made.load_state_dict(tables_of(part.transitions(size)))
    return made


@torch.no_grad()
def _gains(model: Any, loader: Any, ways: list[Any]) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:  # noqa: ANN401
    """NDCG@10 by variant and row, native and seen-masked; and target and history length of the rows."""
    targets = TargetRows(loader)
    items = targets.part.event_log[targets.part.item_seq_field]
    native: list[list[np.ndarray]] = [[] for _ in ways]
    masked: list[list[np.ndarray]] = [[] for _ in ways]
    wanted, length = [], []
    for batch, _, positive_u, positive_i in loader:
        scores = model.full_sort_predict(batch)
        rows = targets.following(len(scores), positive_u, positive_i)
        target, pairs = rows[targets.part.iid_field], seen_pairs(rows, items, model.n_items)
        recent = last_items(batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN])
        wanted.append(target.numpy())
        length.append(rows.whole_length().numpy())
        for number, (name, weight, memory, constants) in enumerate(ways):
            both = torch.zeros_like(scores) if name == "memory alone" else scores.clone()
            if memory is not None:
                memory.weight = weight
                with changed(**constants):
                    memory.add_to(both, recent)
            both[:, 0] = -torch.inf
            none = torch.zeros(0, dtype=torch.int64)
            native[number].append(ndcg(masked_ranks(both, target, none, none).numpy()))
            masked[number].append(ndcg(masked_ranks(both, target, *pairs).numpy()))
    stacked = (np.stack([np.concatenate(gains) for gains in kind]) for kind in (native, masked))
    return (*stacked, (np.concatenate(wanted), np.concatenate(length)))


def _groups(rows: tuple[np.ndarray, np.ndarray], part: Any) -> dict[str, np.ndarray]:  # noqa: ANN401
    target, length = rows
    events = part.training_events().numpy()
    order = np.argsort(-events, kind="stable")
    head = np.zeros(len(events), bool)
    head[order[np.cumsum(events[order]) <= events.sum() / 2]] = True
    tail = events <= np.median(events[1:])
    return {
        "head targets": head[target],
        "tail targets": tail[target],
        "users under 10 events": length < 10,
        "users over 200 events": length > 200,
    }


if __name__ == "__main__":
    main()
