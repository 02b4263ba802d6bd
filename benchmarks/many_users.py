"""Measure `recbole-li recommend --input` for many users, with one process and with two Ray workers.

    uv run benchmarks/many_users.py --output DIR [--users 1000000]

Makes a model with random weights and default options (10,000 items) and Parquet files of histories (20 events per
user), runs both commands in new processes with one thread each, and compares their results. The target is a ratio of
1.8 on two idle cores. The times include starting Python and Ray and loading the model.
"""

import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from common import make_parser, say, write_csv

from recbole_longinterest.common.resources import resource
from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.serving.model_folder import Items, Served, write_folder

ITEMS, EVENTS = 10_000, 20  # items, and events per user
A_FILE, FILES = 10_000, 20  # maximum users per file, minimum number of files
FIELDS = {"user": "user_id", "item": "item_id", "rating": "rating", "behavior": "behavior", "time": "timestamp"}
BAR = 1.8
COMMAND = "from recbole_longinterest.cli.main import main; raise SystemExit(main())"


def main() -> None:
    """Measure, and write many_users.csv."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for the model, the histories and the results"
    )
    parser.add_argument("--users", type=int, default=1_000_000)
    args = parser.parse_args()
    found = measure(args.output, args.users)
    write_csv(args.output / "many_users.csv", [found])
    say(
        f"{args.users:,} users: one process {found['one']:,.0f} users/s, two workers {found['two']:,.0f} users/s, "
        f"ratio {found['ratio']:.2f} (target {BAR})\n"
    )


def measure(folder: Path, users: int) -> dict[str, float]:
    """Measure the users per second of one process and of two workers, and their ratio.

    Args:
        folder: folder for model, histories and results; earlier results are removed.
        users: number of users.

    Raises:
        SystemExit: if the results differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model").exists():
        make_model(folder / "model")
    make_histories(folder / f"histories-{users}", users)
    given = ["--model", str(folder / "model"), "--input", str(folder / f"histories-{users}")]
    seconds = []
    for name, ray in (("one", []), ("two", ["--ray", "--workers", "2"])):
        shutil.rmtree(folder / name, ignore_errors=True)
        command = [sys.executable, "-c", COMMAND, "recommend", *given]
        begin = time.perf_counter()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
        subprocess.run([*command, "--output", str(folder / name), *ray], check=True, env=environment)
        seconds.append(time.perf_counter() - begin)
    one, two = (sorted((folder / name).rglob("*.parquet")) for name in ("one", "two"))
    if [file.read_bytes() for file in one] != [file.read_bytes() for file in two]:
        raise SystemExit(f"{folder / 'one'} and {folder / 'two'} differ.")
    return {"users": users, "one": users / seconds[0], "two": users / seconds[1], "ratio": seconds[0] / seconds[1]}


def make_model(folder: Path) -> None:
    """Write a model with default options and random weights."""
    settings = yaml.safe_load(resource("properties", "LongInterest.yaml").read_text(encoding="utf-8"))
    options, network, sources = (
        ModelOptions.from_config(settings),
        InterestNetwork(),
        [SourceSpec(*["time"] * 2, "timestamp")],
    )
    torch.manual_seed(0)
    network.build(options, Sources(ITEMS + 1, events=sources))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1)
        assert network.memory is not None
        network.memory.followers.random_(1, ITEMS + 1)
        network.memory.counts.uniform_()
        network.memory.support.uniform_(1, 50)
    tokens = ["[PAD]", *(f"i{item}" for item in range(ITEMS))]
    items = Items(tokens, [""] * len(tokens), [[]] * len(tokens))
    served = Served(
        options=options, weights=network.state_dict(), items=items, sources=sources, history_limit=None, fields=FIELDS
    )
    write_folder(served, folder)


def make_histories(folder: Path, users: int) -> None:
    """Write histories of Zipf-distributed items, one row with lists per user, up to :data:`A_FILE` users per file."""
    if folder.exists():
        return
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, ITEMS + 1)
    share /= share.sum()
    most = min(A_FILE, math.ceil(users / FILES))
    for begin in range(0, users, most):
        number = min(most, users - begin)
        drawn = rng.choice(ITEMS, (number, EVENTS), p=share)
        items = [[f"i{item}" for item in row] for row in drawn.tolist()]
        times = np.sort(rng.integers(10**9, 15 * 10**8, (number, EVENTS))).tolist()
        names = [f"u{begin + user}" for user in range(number)]
        table = pa.table({"user_id": names, "item_id": items, "timestamp": times})
        pq.write_table(table, draft / f"{begin // most:05d}.parquet")
    draft.rename(folder)


if __name__ == "__main__":
    main()
