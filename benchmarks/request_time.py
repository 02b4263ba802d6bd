"""Gain of the request time for a trained network: only the tables of `nn/request.py` are trained.

    uv run recbole-li run --dataset ml-100k --memory=off --checkpoint_dir=saved
    uv run benchmarks/request_time.py --checkpoint saved/NAME.pth

The checkpoint comes from a run without `request_time` and without the memory. Its network does not change. Its interest
vectors after a random part of the training events are stored, and four adjustments by the time of the request are
trained on them: a shift by the gap since the last event; the model's factor and shift; a shift by hour and weekday
(UTC, for times in seconds since 1970); and both. Results are native NDCG@10 on validation and test targets, with the
time of each target and with unknown time. A run with `--request_time=True` trains network and tables together.
"""

import logging
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import make_parser, ndcg, ranks_among, write_csv
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.nn.request import RequestTime

WAYS = ("shift", "factor and shift", "hour and weekday", "factor, shift, hour and weekday")
RATE, BATCH, PASSES, SEED = 0.01, 1024, 4, 2020
HOUR, DAY, FIRST_WEEKDAY = 3600, 86400, 4  # 1970 began on a Thursday


class Rows(NamedTuple):
    """Interests [n, D], targets [n], gaps [n], times [n] and items of the histories [n, L], padded with 0."""

    interest: Tensor
    target: Tensor
    gap: Tensor
    time: Tensor
    seen: Tensor


class Way(nn.Module):
    """One adjustment of the interest by the time of the request."""

    def __init__(self, name: str, counts: Tensor, dim: int) -> None:
        super().__init__()
        self.gaps = RequestTime(dim, counts) if "shift" in name else None
        if self.gaps is not None and "factor" not in name:
            self.gaps.factor.requires_grad_(False)
        self.clock = "hour" in name
        self.hours, self.weekdays = (nn.Parameter(torch.zeros(number, dim)) for number in (24, 7))

    def forward(self, interest: Tensor, gap: Tensor, time: Tensor) -> Tensor:
        """Interests at the times of requests, [n, D]."""
        if self.gaps is not None:
            interest = self.gaps(interest, gap)
        if self.clock:
            day = (time.div(DAY, rounding_mode="floor") + FIRST_WEEKDAY) % 7
            interest = interest + self.hours[(time % DAY // HOUR).long()] + self.weekdays[day.long()]
        return interest


def score(interest: Tensor, seen: Tensor, items: Tensor, bias: Tensor | None) -> Tensor:
    """Scores of all items, [n, N]; the padding gets the lowest score."""
    scores = interest @ items.T
    if bias is not None:
        scores = scores.scatter(1, seen, scores.gather(1, seen) + bias)
    return scores.index_fill(1, torch.zeros(1, dtype=torch.int64), -1e9)


@torch.no_grad()
def training_rows(model: Any, loader: Any, share: float) -> Rows:  # noqa: ANN401
    """Rows of a random part of the training targets."""
    items, found, generator = model.item_vectors(), [], torch.Generator().manual_seed(SEED)
    for batch in loader:
        target, item_seq = batch[model.TARGET_SEQ], batch[model.ITEM_SEQ]
        outputs = model(item_seq, model.side_levels(batch), items)
        chosen = (target > 0) & (torch.rand(target.shape, generator=generator) < share)
        row, place = chosen.nonzero(as_tuple=True)
        seen = item_seq[row] * (torch.arange(item_seq.shape[1]) <= place.unsqueeze(1))
        seen = functional.pad(seen, (0, model.max_seq_length - seen.shape[1]))
        found.append(Rows(outputs[chosen], target[chosen], *(batch[name][chosen] for name in ("gap", "time")), seen))
    return Rows(*map(torch.cat, zip(*found, strict=True)))


@torch.no_grad()
def target_rows(model: Any, loader: Any) -> list[Rows]:  # noqa: ANN401
    """Rows of validation or test targets, batch by batch."""
    items = model.item_vectors()
    return [
        Rows(model.last_interest(batch, items), target, batch["gap"], batch["time"], batch[model.ITEM_SEQ])
        for batch, _, _, target in loader
    ]


def main() -> None:
    """Measure, print and write request_time.csv."""
    import recbole_longinterest  # noqa: F401 - registers the model

    parser = make_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.4, help="share of the training events for the tables")
    parser.add_argument("--output", type=Path, default=Path("request_time"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    from recbole.quick_start import load_data_and_model

    from recbole_longinterest.data.longinterest_dataset import LongInterestDataset

    sys.argv = sys.argv[:1]  # RecBole reads it
    logging.disable(logging.WARNING)
    _, model, dataset, train, valid, test = load_data_and_model(str(args.checkpoint))
    model.eval().memory = None
    fields = {"gap": dataset.side_fields["time"], "time": f"{dataset.time_field}{dataset.config['LIST_SUFFIX']}"}
    LongInterestDataset.request_fields = property(lambda self: fields)  # type: ignore[assignment,method-assign]
    learnt = training_rows(model, train, args.share)
    parts = [target_rows(model, loader) for loader in (valid, test)]
    items, bias = model.item_vectors().detach(), model.repeat_logit()
    bias = None if bias is None else bias.detach()
    cold = ~model.trained

    @torch.no_grad()
    def quality(way: Way | None, known: bool = True) -> list[float]:
        values = []
        for rows in parts:
            ranks = []
            for part in rows:
                gap = part.gap if known else torch.full_like(part.gap, math.nan)
                interest = part.interest if way is None else way(part.interest, gap, part.time)
                scores = score(interest, part.seen, items, bias)
                ranks.append(ranks_among(scores, scores.gather(1, part.target.unsqueeze(1))))
            values.append(float(ndcg(torch.cat(ranks).numpy()).mean()))
        return values

    table: list[list[str | float]] = [["network alone", *quality(None), "", ""]]
    for name in WAYS:
        torch.manual_seed(SEED)
        way = Way(name, train._dataset.request_gaps(), items.shape[1])
        optimizer = torch.optim.Adam([each for each in way.parameters() if each.requires_grad], RATE)
        for rows in torch.cat([torch.randperm(len(learnt.target)) for _ in range(PASSES)]).split(BATCH):
            interest = way(learnt.interest[rows], learnt.gap[rows], learnt.time[rows])
            scores = score(interest, learnt.seen[rows], items, bias).masked_fill(cold, -1e9)
            loss = functional.cross_entropy(scores, learnt.target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        table.append([name, *quality(way), *(["", ""] if way.clock else quality(way, known=False))])
        sys.stdout.write("  ".join(f"{each:.4f}" if isinstance(each, float) else each for each in table[-1]) + "\n")
        sys.stdout.flush()
    sys.stdout.write(f"network alone {table[0][1]:.4f} {table[0][2]:.4f}\n")
    names = ("way", "validation", "test", "validation, time not known", "test, time not known")
    write_csv(args.output / "request_time.csv", [dict(zip(names, row, strict=True)) for row in table])


if __name__ == "__main__":
    main()
