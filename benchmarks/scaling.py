"""Measure the parts of a training step on several workers, and simulate N workers from them.

    uv run benchmarks/scaling.py --output DIR [--write docs/scaling.md]

Parts (``--parts``):

- ``steps``: seconds per training step of LongInterest on one core, by the number of targets, with the softmax over all
  items and with a sampled softmax.
- ``reduce``: seconds per gloo all-reduce of two processes, by the number of bytes.
- ``workers``: targets per second of `recbole-li run --ray` with one and two workers of one thread.
- ``recommend``: see `many_users.py`.

Each part is measured once and kept in DIR. Then training steps of 1 to 1,024 workers are simulated
(`cluster_model.py`), in a network with ``--latency`` and ``--bandwidth`` and in one as fast as that between two
processes of this machine. Compare times only within one run.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster_model import BATCHES, CANDIDATES, WAYS, Line, Model, Network, fit, plan, simulate, stops_at
from common import cell, data_folder, in_process, make_parser, make_quiet_config, say, write_between, write_csv

PARTS = ("steps", "reduce", "workers", "recommend")
BATCH = 4096
TARGETS = (512, 1024, 2048, 4096, 8192)
SIZES = tuple(4**power for power in range(6, 13))  # 4 KiB to 16 MiB
SETTINGS = {"text_features": "off"}
MARKS = "<!-- scaling -->", "<!-- /scaling -->"
PLAN = "<!-- plan -->", "<!-- /plan -->"
MISSING = "not measured yet"
COMMAND = "from recbole_longinterest.cli.main import main; raise SystemExit(main())"


def main() -> None:
    """Measure, simulate, and print the table; write scaling.csv."""
    parser = make_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for all results")
    parser.add_argument("--data_path", help="parent of the data set's folder")
    parser.add_argument("--dataset", default="ml-latest-small")
    parser.add_argument("--parts", default=",".join(PARTS), help="parts to measure, if DIR does not have them yet")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4, help="epochs per run of `workers`; the first is not counted")
    parser.add_argument("--users", type=int, default=1_000_000, help="users of `recommend`")
    parser.add_argument("--batch", type=int, default=BATCH, help="targets per step")
    parser.add_argument("--latency", type=float, default=50e-6, help="latency of the simulated network, in seconds")
    parser.add_argument(
        "--bandwidth", type=float, default=1.25e9, help="bandwidth of the simulated network, in bytes per second"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="file with the tables' marks, in which the tables are replaced"
    )
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        sys.stdout.write(json.dumps(child(args.child)) + "\n")
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    found = {part: measured(part, args) for part in PARTS}
    table = table_of(found) + simulated(found, args)
    say(table)
    if args.write is not None:
        write_between(args.write, MARKS, table)
        if found["steps"]:
            write_between(args.write, PLAN, plan_of(found, Network(args.latency, args.bandwidth)))


def measured(part: str, args: argparse.Namespace) -> dict[str, Any]:
    """Read a part's results from its file, or measure them if ``--parts`` names it; otherwise empty."""
    path = args.output / f"{part}.json"
    if part not in args.parts.split(",") and not path.is_file():
        return {}
    return cell(
        path, lambda: {"steps": steps, "reduce": reduce, "workers": workers, "recommend": recommend}[part](args)
    )


# --- measuring -------------------------------------------------------------------------------------------------------


def steps(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the seconds of a step by its number of targets, for the full and the sampled softmax."""
    asked = {"what": "step", "dataset": args.dataset, "data_path": str(data_folder(args.data_path))}
    ways = {"ring": 0, "sharded": CANDIDATES}
    words = {way: json.dumps({**asked, "sampled": number, "repeats": 3 * args.repeats}) for way, number in ways.items()}
    return {way: in_process(__file__, ["--output", str(args.output), "--child", word]) for way, word in words.items()}


def reduce(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the seconds of a gloo all-reduce of two processes, by the number of bytes."""
    from recbole_longinterest.training.processes import _free_port

    asked = {"what": "reduce", "port": _free_port(), "repeats": 10 * args.repeats}
    words = [["--output", str(args.output), "--child", json.dumps({**asked, "rank": rank})] for rank in range(2)]
    with subprocess.Popen([sys.executable, __file__, *words[1]], stdout=subprocess.DEVNULL) as other:
        found: dict[str, Any] = in_process(__file__, words[0])
        if other.wait():
            raise SystemExit("The second process of the all-reduce failed.")
    return found


def workers(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the targets per second of one and two workers in turn: medians of all epochs after a run's first."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    data = str(data_folder(args.data_path).resolve())
    for _ in range(args.repeats):
        for number in seconds:
            with tempfile.TemporaryDirectory() as folder:
                given = {**SETTINGS, "train_batch_size": args.batch, "epochs": args.epochs, "gpu_id": ""}
                words = [f"--{name}={value}" for name, value in given.items()]
                place = ["--dataset", args.dataset, "--data_path", data]
                run = [
                    sys.executable,
                    "-c",
                    COMMAND,
                    "run",
                    *place,
                    *words,
                    "--quiet",
                    "--ray",
                    "--workers",
                    str(number),
                ]
                own = {**os.environ, "RAY_worker_niceness": "0"}
                subprocess.run(run, cwd=folder, check=True, stdout=subprocess.DEVNULL, env=own)
                log = next(iter(sorted(Path(folder).rglob("*.log")))).read_text(encoding="utf-8")
            seconds[number] += [float(text) for text in re.findall(r"epoch \d+ training.*?time: ([\d.]+)s", log)[1:]]
    asked = json.dumps({"what": "targets", "dataset": args.dataset, "data_path": data})
    targets = in_process(__file__, ["--output", str(args.output), "--child", asked])
    one, two = (targets / statistics.median(each) for each in seconds.values())
    return {"one": one, "two": two, "ratio": two / one, "targets": targets, "epochs": len(seconds[1])}


def recommend(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the users per second of one process and of two workers."""
    from many_users import measure  # late: torch

    return dict(measure(args.output / "many_users", args.users))


def child(asked: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Measure in this process, with one thread."""
    import torch

    torch.set_num_threads(1)
    return _reduced(asked) if asked["what"] == "reduce" else _stepped(asked)


def _stepped(asked: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    import recbole.data.utils
    import torch
    from recbole.utils import get_model, init_seed

    settings = {**SETTINGS, "data_path": asked["data_path"], "train_batch_size": max(TARGETS), "gpu_id": ""}
    config = make_quiet_config(
        "LongInterest", asked["dataset"], {**settings, "sampled_softmax": asked.get("sampled", 0)}
    )
    init_seed(config["seed"], config["reproducibility"])
    train = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))[0]
    if asked["what"] == "targets":
        return len(train._dataset)
    model = get_model("LongInterest")(config, train._dataset).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    batch = max(train, key=lambda each: int((each[train.target_list_field] > 0).sum()))
    counts = (batch[train.target_list_field] > 0).sum(dim=1).cumsum(0)  # number of targets in the first windows
    targets, seconds = [], []
    for wanted in TARGETS:
        rows = int((counts <= wanted).sum()) or 1
        part, times = batch[torch.arange(rows)], []
        for _ in range(asked["repeats"] + 1):
            begin = time.perf_counter()
            optimizer.zero_grad()
            model.calculate_loss(part).backward()
            optimizer.step()
            times.append(time.perf_counter() - begin)
        targets.append(int(counts[rows - 1]))
        seconds.append(statistics.median(times[1:]))
    numbers = {name: weight.numel() for name, weight in model.named_parameters()}
    table = numbers["id_embedding.weight"]
    return {
        "targets": targets,
        "seconds": seconds,
        "dense": 4 * (sum(numbers.values()) - table),
        "items": model.n_items,
        "dim": table // model.n_items,
    }


def _reduced(asked: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    import torch
    import torch.distributed as dist

    from recbole_longinterest.plugin.process_group import join_group

    join_group("gloo", asked["rank"], 2, "localhost", asked["port"], this_machine_alone=True)
    seconds = []
    for size in SIZES:
        values, times = torch.zeros(size // 4), []
        for _ in range(asked["repeats"] + 1):
            dist.barrier()
            begin = time.perf_counter()
            dist.all_reduce(values)
            times.append(time.perf_counter() - begin)
        seconds.append(statistics.median(times[1:]))
    dist.destroy_process_group()
    return {"bytes": list(SIZES), "seconds": seconds}


# --- tables ----------------------------------------------------------------------------------------------------------


def model_of(found: Mapping[str, Any]) -> Model:
    """Build the simulated model from the measured times."""
    lines = {way: fit(each["targets"], each["seconds"]) for way, each in found["steps"].items()}
    return Model(lines, *(found["steps"]["ring"][name] for name in ("dense", "items", "dim")), CANDIDATES)


def table_of(found: Mapping[str, Any]) -> str:
    """Render the measurements as a Markdown table."""
    lines: dict[str, Line] = model_of(found).steps if found["steps"] else {}
    reduced = fit(found["reduce"]["bytes"], found["reduce"]["seconds"]) if found["reduce"] else None

    def line(way: str) -> str:
        return f"{lines[way].fixed * 1e3:.1f} ms + {lines[way].each * 1e6:.1f} us a target" if lines else MISSING

    def shown(part: str, name: str, form: str) -> str:
        return form.format(found[part][name]) if found[part] else MISSING

    here = None if reduced is None else Network.of_two(reduced)
    users = f"{found['recommend']['users']:,} users" if found["recommend"] else "users"
    rows = [
        ("step, softmax over all items, one core", line("ring")),
        (f"step, sampled softmax with {CANDIDATES:,} candidates, one core", line("sharded")),
        (
            "all-reduce of two processes (gloo, loopback)",
            MISSING if here is None else f"{here.latency * 1e6:.0f} us a message, {here.bandwidth / 1e9:.2f} GB/s",
        ),
        ("`run --ray`, 1 worker", shown("workers", "one", "{:,.0f} targets/s")),
        ("`run --ray`, 2 workers", shown("workers", "two", "{:,.0f} targets/s")),
        ("ratio (target 1.6)", shown("workers", "ratio", "{:.2f}")),
        (f"`recommend --input`, 1 process, {users}", shown("recommend", "one", "{:,.0f} users/s")),
        (f"`recommend --input --ray`, 2 workers, {users}", shown("recommend", "two", "{:,.0f} users/s")),
        ("ratio (target 1.8)", shown("recommend", "ratio", "{:.2f}")),
    ]
    return "| measured on this machine | figure |\n|---|---|\n" + "".join(f"| {a} | {b} |\n" for a, b in rows)


def simulated(found: Mapping[str, Any], args: argparse.Namespace) -> str:
    """Simulate, write scaling.csv, and render a table of the workers at which efficiency drops below 50 %."""
    if not found["steps"]:
        return ""
    networks = {f"{args.latency * 1e6:g} us, {args.bandwidth / 1e9:g} GB/s": Network(args.latency, args.bandwidth)}
    if found["reduce"]:
        networks["loopback, as measured"] = Network.of_two(fit(found["reduce"]["bytes"], found["reduce"]["seconds"]))
    model, rows, lines = model_of(found), [], []
    for name, network in networks.items():
        here = simulate(model, network, args.batch)
        rows += [{"network": name, **row} for row in here]
        for way in WAYS:
            for kind in BATCHES:
                of = [row for row in here if (row["way"], row["batch"]) == (way, kind)]
                best = max(of, key=lambda row: float(str(row["targets_a_second"])))
                stop = stops_at(here, way, kind)
                said = f"{stop:,}" if stop else f"not up to {of[-1]['workers']:,}"
                lines.append(
                    f"| {name} | {way} | {args.batch:,} {kind} | {said} | {best['targets_a_second']:,.0f} with "
                    f"{best['workers']:,} |\n"
                )
    write_csv(args.output / "scaling.csv", rows)
    names = ("simulated network", "exchange", "batch", "workers from which efficiency is under 50 %", "most targets/s")
    return f"\n| {' | '.join(names)} |\n{'|---' * len(names)}|\n{''.join(lines)}"


def plan_of(found: Mapping[str, Any], network: Network) -> str:
    """Render the plan of `docs/scaling.md`."""
    rows = plan(model_of(found), network)
    return "| what | formula | number |\n|---|---|---|\n" + "".join(f"| {a} | {b} | {c} |\n" for a, b, c in rows)


if __name__ == "__main__":
    main()
