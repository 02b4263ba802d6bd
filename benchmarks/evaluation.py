"""Compare full-ranking evaluation of 22,363 users x 12,101 items with a bare matrix product and top-k in torch.

    uv run benchmarks/evaluation.py

The log is random and has as many users, items and events as Amazon Beauty. RecBole's trainer evaluates the test rows
of LongInterest with default settings. The model is not trained, because the weights do not change the time. It is
evaluated once natively only, and once natively and seen-masked from the same scores, as `compare` and `best_by` do.
For comparison, `interest @ items.T` with `torch.topk` and the encoding of the histories are timed in the same batches.

All of these run in turn in one process. The ratio is the time of an evaluation without encoding, divided by the time
of matrix product and top-k. The exit code is 1 if a ratio is above 1.5.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from common import make_parser, make_quiet_config

BAR = 1.5
TOP = 10
NAME = "sized"  # name of the generated data set


def write_log(folder: Path, users: int, items: int, events: int) -> None:
    """Write a random log with at least five events per user and one per item."""
    rng = np.random.default_rng(0)
    events = max(events, 5 * users, items)
    user = np.concatenate([np.repeat(np.arange(users), 5), rng.integers(users, size=events - 5 * users)])
    item = np.concatenate([np.arange(items), rng.zipf(1.3, events - items) % items])
    rows = zip(user.tolist(), rng.permutation(item).tolist(), rng.integers(1, 6, events).tolist(), strict=True)
    path = folder / NAME / f"{NAME}.inter"
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8") as file:
        file.write("user_id:token\titem_id:token\trating:float\ttimestamp:float\n")
        file.writelines(f"{u}\t{i}\t{r}\t{10**9 + place}\n" for place, (u, i, r) in enumerate(rows))


class Evaluation:
    """LongInterest with its test rows, and the ways to rank them.

    Args:
        data_path: parent of the log's folder.
    """

    def __init__(self, data_path: str) -> None:
        import recbole.data.utils
        from recbole.utils import get_model, get_trainer, init_seed

        config = make_quiet_config("LongInterest", NAME, {"data_path": data_path, "topk": [TOP]})
        config["device"] = torch.device("cpu")
        init_seed(config["seed"], config["reproducibility"])
        dataset = recbole.data.utils.create_dataset(config)
        train, _, self.test = recbole.data.utils.data_preparation(config, dataset)
        self.model = get_model("LongInterest")(config, train._dataset).eval()
        self.model.prepare()
        self.trainer = get_trainer(config["MODEL_TYPE"], "LongInterest")(config, self.model)
        self.interests = self.encoding()
        self.items = self.model.item_vectors().detach()

    def native(self) -> Any:  # noqa: ANN401 - metrics
        """Evaluate by RecBole's protocol."""
        return self.trainer.evaluate(self.test, load_best_model=False)

    def both(self) -> Any:  # noqa: ANN401 - metrics
        """Evaluate by both protocols, from the same scores."""
        from recbole_longinterest.plugin.runs.seen_masked import MaskedPass, watching_batches

        masked = MaskedPass(self.test)
        with watching_batches(self.trainer, masked.add):
            found = self.native()
        return found, masked.ranks()

    @torch.no_grad()
    def encoding(self) -> list[torch.Tensor]:
        """Collect the histories and encode them, [B, D] per batch."""
        items = self.model.item_vectors()
        return [self.model.last_interest(batch, items) for batch, *_ in self.test]

    @torch.no_grad()
    def plain(self) -> list[torch.Tensor]:
        """Compute the scores by a matrix product, and find their best items."""
        return [torch.topk(interest @ self.items.T, TOP, dim=-1).indices for interest in self.interests]


def main() -> int:
    """Measure and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--users", type=int, default=22_363)
    parser.add_argument("--items", type=int, default=12_101)
    parser.add_argument("--events", type=int, default=198_502)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's choice)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        write_log(Path(folder), args.users, args.items, args.events)
        evaluation = Evaluation(folder)
    ways: dict[str, Callable[[], Any]] = {
        "native": evaluation.native,
        "native and seen-masked": evaluation.both,
        "encoding the histories": evaluation.encoding,
        "matrix product and top-k": evaluation.plain,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(args.repeats + 1):  # the first warms up
        for name, work in ways.items():
            begin = perf_counter()
            work()
            if turn:
                seconds[name].append(perf_counter() - begin)
    encoding, plain = seconds["encoding the histories"], seconds["matrix product and top-k"]
    sys.stdout.write(
        f"{sum(map(len, evaluation.interests)):,} users, {len(evaluation.items) - 1:,} items, "
        f"{len(evaluation.interests)} batches, medians of {args.repeats}, {torch.get_num_threads()} thread(s)\n\n"
        "| | seconds | without the encoding | / matrix product and top-k |\n|---|---|---|---|\n"
    )
    worst = 0.0
    for name, taken in seconds.items():
        cells = [f"{statistics.median(taken):.3f}", "", ""]
        if name.startswith("native"):
            ranking = [one - other for one, other in zip(taken, encoding, strict=True)]
            ratio = statistics.median(one / other for one, other in zip(ranking, plain, strict=True))
            cells[1:] = [f"{statistics.median(ranking):.3f}", f"{ratio:.2f}"]
            worst = max(worst, ratio)
        sys.stdout.write(f"| {' | '.join([name, *cells])} |\n")
    sys.stdout.write(f"\ntarget: {BAR}\n")
    return 0 if worst <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
