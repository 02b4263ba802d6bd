"""Compare a training step of LongInterest with the time of its matrix products.

    uv run benchmarks/floor.py

A step of the trainer with default settings on ml-100k is loss, gradients, Adam and the average of the weights.
Collecting the batch is timed separately. Every matrix product that torch computes in a step, forward and backward, is
recorded with the shapes and strides of its operands. The products of the LSTM are inside oneDNN, so they are derived
from the layer's input: products with the input for all events at once, products with the state for one event after
another.

Step and products are timed in turn in one process, batch by batch. The table has the medians of the rounds. With
--profile, a second table has the operations that take most of the time of the steps, by torch's profiler. The exit code
is 1 if a step takes more than 1.5 times the time of its products.
"""

import argparse
import copy
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

import torch
from common import add_data_arguments, make_parser, make_quiet_config
from speed import Timed
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

BAR = 1.5
SHOWN = 12  # operations of the profile
OPERANDS = {"mm": 0, "bmm": 0, "addmm": 1, "addmm_": 1, "baddbmm": 1}  # product -> index of its first operand
LOSS = "logits and loss"
GROUPS = {  # module -> group; everything outside of them is the loss
    "item_sources": "item vectors",
    "fusion": "fusion",
    "interest_encoder.rnn": "LSTM",
    "interest_encoder.attention": "attention",
    "interest_encoder.query": "output",
}


class Product(NamedTuple):
    """A matrix product: its group, and the shape and strides of both operands."""

    group: str
    first: tuple[tuple[int, ...], tuple[int, ...]]
    second: tuple[tuple[int, ...], tuple[int, ...]]


class Recorder(TorchDispatchMode):
    """Records the matrix products of a step.

    A product of the backward pass belongs to the group whose forward pass has a product with the same three sizes.

    Args:
        model: the model; its modules define the groups.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.products: list[Product] = []
        self.inside = [LOSS]
        self.owners: dict[tuple[int, ...], str] = {}
        for name, group in GROUPS.items():
            module = model.get_submodule(name)
            for each in module.children() if isinstance(module, nn.ModuleDict) else (module,):
                each.register_forward_pre_hook(lambda *_, group=group: self.inside.append(group))
                each.register_forward_hook(lambda *_: self.inside.pop() and None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Record an operation and run it."""
        name = func.overloadpacket.__name__
        if name in OPERANDS:
            first, second = args[OPERANDS[name] : OPERANDS[name] + 2]
            self.add(first, second)
        elif name == "mkldnn_rnn_layer":
            self.add_lstm(args[0], args[1], args[2])
        elif "rnn" in name and "backward" not in name:
            raise SystemExit(
                f"torch runs the LSTM as {name}, whose matrix products are unknown. Run this on a CPU with oneDNN."
            )
        return func(*args, **(kwargs or {}))

    def add(self, first: Tensor, second: Tensor) -> None:
        """Record a product."""
        sizes = tuple(sorted((*first.shape, second.shape[-1])))
        group = self.inside[-1]
        if len(self.inside) > 1:
            self.owners[sizes] = group
        else:
            group = self.owners.get(sizes, LOSS)
        self.products.append(Product(group, *((tuple(each.shape), each.stride()) for each in (first, second))))

    def add_lstm(self, events: Tensor, of_input: Tensor, of_state: Tensor) -> None:
        """Record the products of an LSTM layer in forward and backward pass.

        Args:
            events: input, [L, B, D].
            of_input: weight of the input, [4H, D].
            of_state: weight of the state, [4H, H].
        """
        length, batch, width = events.shape
        gates, hidden = of_state.shape
        rows = events.new_empty(length * batch, width)
        gradients, states = rows.new_empty(length * batch, gates), rows.new_empty(length * batch, hidden)
        step, state = gradients[:batch], states[:batch]
        self.inside.append("LSTM")
        self.add(rows, of_input.T)
        self.add(gradients, of_input)
        self.add(gradients.T, rows)
        self.add(gradients.T, states)
        for _ in range(length):
            self.add(state, of_state.T)
            self.add(step, of_state)
        self.inside.pop()


class Replay:
    """Computes recorded products again, with operands of the same shapes and strides and allocated results.

    Args:
        products: products of one step.
    """

    def __init__(self, products: list[Product]) -> None:
        pool: dict[Any, Tensor] = {}  # operands of the same shape are shared, as in a step
        self.work: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = defaultdict(list)
        for group, *operands in products:
            first, second = (
                pool.setdefault((group, place, *each), _filled(*each)) for place, each in enumerate(operands)
            )
            shape = (*first.shape[:-1], second.shape[-1])
            out = pool.setdefault((group, "out", shape), torch.empty(shape))
            self.work[group].append((first, second, out))

    def run(self) -> dict[str, float]:
        """Compute all products, and return the seconds of each group."""
        seconds = {}
        for group, work in self.work.items():
            begin = perf_counter()
            for first, second, out in work:
                torch.matmul(first, second, out=out)
            seconds[group] = perf_counter() - begin
        return seconds


def _filled(shape: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Make a tensor of random numbers with these strides."""
    return torch.empty_strided(shape, stride).uniform_(-1, 1)


class Alternating(Timed):
    """A loader that computes the products of a batch after the training step on it.

    Args:
        loader: loader of the batches.
        replays: products of each batch, in the order of the batches.
    """

    def __init__(self, loader: Any, replays: list[Replay]) -> None:  # noqa: ANN401
        super().__init__(loader, float("inf"))
        self.replays = replays
        self.gathering, self.steps = 0.0, 0.0
        self.products: dict[str, float] = defaultdict(float)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        for replay in self.replays:
            begin = perf_counter()
            batch = next(batches)
            given = perf_counter()
            yield batch
            done = perf_counter()
            found = replay.run()
            self.gathering += given - begin
            self.steps += done - given
            for group, seconds in found.items():
                self.products[group] += seconds


def main() -> int:
    """Measure and print the table."""
    parser = make_parser(__doc__)
    add_data_arguments(parser, "ml-100k", ".")
    parser.add_argument("--batches", type=int, default=20, help="batches per round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's choice)")
    parser.add_argument("--profile", action="store_true", help="also print where the time of the steps goes")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    trainer, loader = prepared(args)
    replays = [Replay(recorded(trainer.model, batch)) for _, batch in zip(range(args.batches), loader, strict=False)]
    rounds = []
    for number in range(args.rounds + 1):  # the first warms up
        alternating = Alternating(loader, replays)
        trainer._train_epoch(alternating, 0)
        if number:
            rounds.append(alternating)
    steps = statistics.median(each.steps for each in rounds) / len(replays)
    whole = statistics.median(sum(each.products.values()) for each in rounds) / len(replays)
    ratio = statistics.median(each.steps / sum(each.products.values()) for each in rounds)
    gathering = statistics.median(each.gathering for each in rounds) / len(replays)
    sys.stdout.write(
        f"{args.dataset}, {len(replays)} batches, medians of {args.rounds} rounds, {torch.get_num_threads()} "
        "thread(s)\n\n| | ms per step | share of the products | products per step |\n|---|---|---|---|\n"
        f"| training step | {1e3 * steps:.2f} | | |\n"
        f"| collecting its batch, not part of the step | {1e3 * gathering:.2f} | | |\n"
        f"| matrix products | {1e3 * whole:.2f} | 1.00 | {sum(map(len, replays[-1].work.values()))} |\n"
    )
    for group in rounds[0].products:
        share = statistics.median(each.products[group] / sum(each.products.values()) for each in rounds)
        number = len(replays[-1].work[group])
        sys.stdout.write(f"| {group} | {1e3 * share * whole:.2f} | {share:.2f} | {number} |\n")
    sys.stdout.write(f"\nratio: {ratio:.2f} (target: {BAR})\n")
    if args.profile:
        sys.stdout.write(profiled(trainer, loader))
    return 0 if ratio <= BAR else 1


def profiled(trainer: Any, loader: Any) -> str:  # noqa: ANN401
    """Train an epoch, and return a table of the operations that take most of its time."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        trainer._train_epoch(loader, 0)
    found = sorted(profile.key_averages(), key=lambda each: -each.self_cpu_time_total)
    whole = sum(each.self_cpu_time_total for each in found)
    lines = [f"| {each.key} | {each.self_cpu_time_total / whole:.3f} | {each.count} |" for each in found[:SHOWN]]
    return "\n".join(["", "| operation | share of an epoch | calls |", "|---|---|---|", *lines, ""])


def prepared(args: argparse.Namespace) -> tuple[Any, Any]:
    """Make a trainer with default settings, and the loader of its batches."""
    import recbole.data.utils
    from recbole.utils import get_model, get_trainer, init_seed

    settings = {"data_path": args.data_path} if args.data_path else {}
    config = make_quiet_config("LongInterest", args.dataset, settings)
    config["device"] = torch.device("cpu")
    init_seed(config["seed"], config["reproducibility"])
    loader, _, _ = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))
    model = get_model("LongInterest")(config, loader._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "LongInterest")(config, model)
    model.prepare()
    return trainer, loader


def recorded(model: nn.Module, batch: Any) -> list[Product]:  # noqa: ANN401 - an Interaction
    """Record the products of a training step on a batch, without changing the model."""
    model = copy.deepcopy(model).train()
    with Recorder(model) as recorder:
        model.calculate_loss(batch).backward()
    return recorder.products


if __name__ == "__main__":
    sys.exit(main())
