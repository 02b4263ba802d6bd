"""Large catalogues: chunked cross entropy against torch's, and evaluation against RecBole's look-up matrix.

    uv run benchmarks/catalogue.py

Both sides of a comparison run alternately in this process. The table has the medians of their times, torch's peak
memory, and the difference of the results.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from common import make_parser, peak_bytes
from torch import Tensor
from torch.nn import functional


def main() -> None:
    """Measure and print."""
    parser = make_parser(__doc__)
    parser.add_argument("--items", type=int, default=12_000)
    parser.add_argument("--users", type=int, default=22_000)
    parser.add_argument("--targets", type=int, default=2_048, help="targets of a training batch")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    sys.stdout.write("| | seconds | peak MB | of the whole matrix | largest difference |\n|---|---|---|---|---|\n")
    cross_entropy(args)
    evaluation(args)


def cross_entropy(args: argparse.Namespace) -> None:
    """Compare loss and gradients of a training step."""
    from recbole_longinterest.nn.losses import chunked_cross_entropy

    torch.manual_seed(0)
    interest = torch.randn(args.targets, args.dim, requires_grad=True)
    items = torch.randn(args.items, args.dim, requires_grad=True)
    target = torch.randint(args.items, (args.targets,))

    def gradients(loss: Callable[[], Tensor]) -> Callable[[], tuple[Tensor, ...]]:
        return lambda: torch.autograd.grad(loss(), (interest, items))

    ways = {
        "cross entropy, torch": gradients(lambda: functional.cross_entropy(interest @ items.T, target)),
        "cross entropy, in chunks": gradients(lambda: chunked_cross_entropy(interest, items, target)),
    }
    report(ways, 4 * args.targets * args.items, args.repeats)


def evaluation(args: argparse.Namespace) -> None:
    """Compare the collection of hits from every user's scores, in batches of 2,048 users."""
    from recbole_longinterest.plugin.fixes.collector import hits_of

    generator = torch.Generator().manual_seed(0)
    scores = [
        torch.rand(min(2048, args.users - i), args.items, generator=generator) for i in range(0, args.users, 2048)
    ]
    wanted = [torch.randint(args.items, (len(part),), generator=generator) for part in scores]

    def recboles() -> tuple[Tensor, ...]:  # as in RecBole 1.2.1, evaluator/collector.py
        found = []
        for part, item in zip(scores, wanted, strict=True):
            top = torch.topk(part, 10, dim=-1).indices
            matrix = torch.zeros_like(part, dtype=torch.int)
            matrix[torch.arange(len(part)), item] = 1
            found.append(torch.cat((torch.gather(matrix, 1, top), matrix.sum(dim=1, keepdim=True)), dim=1))
        return (torch.cat(found),)

    def ours() -> tuple[Tensor, ...]:
        return (
            torch.cat(
                [
                    hits_of(torch.topk(part, 10, dim=-1).indices, torch.arange(len(part)), item, args.items)
                    for part, item in zip(scores, wanted, strict=True)
                ]
            ),
        )

    report({"evaluation, RecBole": recboles, "evaluation, here": ours}, 4 * 2048 * args.items, args.repeats)


def report(ways: dict[str, Callable[[], tuple[Tensor, ...]]], whole: int, repeats: int) -> None:
    """Run the implementations alternately and print a row for each."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results = {name: work() for name, work in ways.items()}  # warm
    for _ in range(repeats):
        for name, work in ways.items():
            begin = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - begin)
    expected = next(iter(results.values()))
    for name, work in ways.items():
        peak = peak_bytes(work)
        difference = max(
            float((got - want).abs().max() / want.abs().max().clamp(min=1e-12))
            for got, want in zip((r.double() for r in results[name]), (e.double() for e in expected), strict=True)
        )
        sys.stdout.write(
            f"| {name} | {statistics.median(seconds[name]):.4f} | {peak / 2**20:.1f} | {peak / whole:.2f} | "
            f"{difference:.1e} |\n"
        )


if __name__ == "__main__":
    main()
