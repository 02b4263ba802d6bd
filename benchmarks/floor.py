"""A training step of LongInterest against its matrix products alone.

    uv run benchmarks/floor.py

The step is that of the trainer at its defaults on ml-100k: gathering the batch is counted apart; loss, gradients, Adam
and the average of the weights are the step. Every matrix product that torch makes in a step is recorded, forward and
backward, with the shapes and strides of its operands. oneDNN makes those of the LSTM inside, so these follow from the
layer's input: the products with the input over all events at once, those with the state one event after another.

Step and products alternate in one process, batch by batch. The table has the medians of the rounds. The exit code is 1
if the step takes more than 1.5 times the time of its products.
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
OPERANDS = {"mm": 0, "bmm": 0, "addmm": 1, "addmm_": 1, "baddbmm": 1}  # product -> place of its first operand
LOSS = "logits and loss"
GROUPS = {  # module -> group; what is outside of all is the loss
    "item_sources": "item vectors",
    "fusion": "fusion",
    "interest_encoder.rnn": "LSTM",
    "interest_encoder.attention": "attention",
    "interest_encoder.query": "output",
}


class Product(NamedTuple):
    """A matrix product: its group, and shape and strides of both operands."""

    group: str
    first: tuple[tuple[int, ...], tuple[int, ...]]
    second: tuple[tuple[int, ...], tuple[int, ...]]


class Recorder(TorchDispatchMode):
    """Records the matrix products of a step.

    A product of the backward pass belongs to the group whose forward pass has one of the same three sizes.

    Args:
        model: the model; its modules tell the groups.
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
        """Record, and compute."""
        name = func.overloadpacket.__name__
        if name in OPERANDS:
            first, second = args[OPERANDS[name] : OPERANDS[name] + 2]
            self.add(first, second)
        elif name == "mkldnn_rnn_layer":
            self.add_lstm(args[0], args[1], args[2])
        elif "rnn" in name and "backward" not in name:
            raise SystemExit(f"torch runs the LSTM as {name}, whose products are not known here; run it on a CPU.")
        return func(*args, **(kwargs or {}))

    def add(self, first: Tensor, second: Tensor) -> None:
        """Record one product."""
        sizes = tuple(sorted((*first.shape, second.shape[-1])))
        group = self.inside[-1]
        if len(self.inside) > 1:
            self.owners[sizes] = group
        else:
            group = self.owners.get(sizes, LOSS)
        self.products.append(Product(group, *((tuple(each.shape), each.stride()) for each in (first, second))))

    def add_lstm(self, events: Tensor, of_input: Tensor, of_state: Tensor) -> None:
        """Record the products of an LSTM layer, both passes.

        Args:
            events: input, [L, B, D].
            of_input: weight, [4H, D].
            of_state: weight, [4H, H].
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
    """Makes recorded products again, on operands of the same shapes and strides, into results that stand ready.

    Args:
        products: of one step.
    """

    def __init__(self, products: list[Product]) -> None:
        pool: dict[Any, Tensor] = {}  # products share their operands, as in a step
        self.work: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = defaultdict(list)
        for group, *operands in products:
            first, second = (
                pool.setdefault((group, place, *each), _filled(*each)) for place, each in enumerate(operands)
            )
            shape = (*first.shape[:-1], second.shape[-1])
            out = pool.setdefault((group, "out", shape), torch.empty(shape))
            self.work[group].append((first, second, out))

    def run(self) -> dict[str, float]:
        """Seconds of each group."""
        seconds = {}
        for group, work in self.work.items():
            begin = perf_counter()
            for first, second, out in work:
                torch.matmul(first, second, out=out)
            seconds[group] = perf_counter() - begin
        return seconds


def _filled(shape: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Random numbers with these strides."""
    return torch.empty_strided(shape, stride).uniform_(-1, 1)


class Alternating(Timed):
    """A loader that makes the products of a batch after the step on it.

    Args:
        loader: of the batches.
        replays: of each batch, by number.
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
    """Measure, and print the table."""
    parser = make_parser(__doc__)
    add_data_arguments(parser, "ml-100k", ".")
    parser.add_argument("--batches", type=int, default=20, help="batches of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="threads of torch (torch's own number)")
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
        f"thread(s)\n\n| | ms a step | share of the products | products a step |\n|---|---|---|---|\n"
        f"| training step | {1e3 * steps:.2f} | | |\n| gathering its batch, beside it | {1e3 * gathering:.2f} | | |\n"
        f"| matrix products | {1e3 * whole:.2f} | 1.00 | {sum(map(len, replays[-1].work.values()))} |\n"
    )
    for group in rounds[0].products:
        share = statistics.median(each.products[group] / sum(each.products.values()) for each in rounds)
        number = len(replays[-1].work[group])
        sys.stdout.write(f"| {group} | {1e3 * share * whole:.2f} | {share:.2f} | {number} |\n")
    sys.stdout.write(f"\nratio: {ratio:.2f} (the bar is {BAR})\n")
    return 0 if ratio <= BAR else 1


def prepared(args: argparse.Namespace) -> tuple[Any, Any]:
    """Trainer at the defaults, and the loader of its batches."""
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
    """The products of a training step on a batch; the model stays as it is."""
    model = copy.deepcopy(model).train()
    with Recorder(model) as recorder:
        model.calculate_loss(batch).backward()
    return recorder.products


if __name__ == "__main__":
    sys.exit(main())
