"""Cold items: how well are items without training events recommended by their texts, right after add_items?

    uv run benchmarks/cold_items.py --dataset ml-latest-small --data_path DIR --output cold

A random tenth of the items is held out, and every event on them is removed from the log. LongInterest is trained on the
rest without each user's last two events, exported, and gets the items by ``Recommender.add_items``. Every event of the
log on such an item is predicted from its user's earlier events: recall@10 among the cold items, and among all items.
The baselines are random scores; the popularity of the item's categories in training; the text nearest to the user's
last event, and to the mean of their last ten events. GRU4Rec has no embedding for these items, so its recall is 0 by
construction. Two more rows of LongInterest add the lift that the export found on the validation events, and scale the
new items' text vectors up (``add_items(boost=...)``). The lines below show the cost of that: NDCG@10 of the users' last
events on trained items, which neither the training nor the export has read. With --adapt N, the N upper layers of the
encoder are also adapted to the training part of the rest (`recbole-li adapt --layers N`), for one more row of
LongInterest and of each nearest text. With --seeds, other items are held out for each seed, and intervals are over the
users of all seeds. Other arguments, such as --id_dropout=0.1, are settings of the training. A second call reads the
models in --output.
"""

import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import add_data_arguments, cell, data_folder, make_parser, make_quiet_config, ndcg, ranks_among
from recbole.config import Config
from replayed import Log, histories, ranks, train_on

from recbole_longinterest.data.item_texts import read_texts
from recbole_longinterest.experiments.comparison.plan import read_settings
from recbole_longinterest.experiments.comparison.statistics import bootstrap_means, interval
from recbole_longinterest.serving.lift import used_lift
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.training.adapting.job import adapt_encoder
from recbole_longinterest.training.adapting.settings import AdaptSettings
from recbole_longinterest.training.export import export_checkpoint

K, RECENT = 10, 10
LEAST = 3  # events of a user whose last two are held out
LEAVE_TWO_OUT = {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"}
PLAIN, LIFTED = "LongInterest", "LongInterest, calibrated lift"
ADAPTED = "LongInterest, adapted encoder"
TO_LAST, TO_RECENT = "nearest text to the last", f"nearest text to the last {RECENT}"
Found = dict[str, tuple[np.ndarray, np.ndarray]]
"""Ranks of the events among the cold items and among all items, by row of the table."""


def main() -> None:
    """Measure, and print and write a table."""
    parser = make_parser(__doc__)
    add_data_arguments(parser, "ml-latest-small", "cold")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="first seed of the held-out items")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, each with other items and a training")
    parser.add_argument("--events", type=int, default=20_000, help="most events to predict, drawn with the seed")
    parser.add_argument("--boost", type=float, default=1.5, help="boost of the new items' texts in the third row")
    parser.add_argument("--adapt", type=int, metavar="N", help="adapt this many upper layers of the encoder")
    args, words = parser.parse_known_args()
    settings = {"epochs": args.epochs, **read_settings([], words)}
    del settings["data_path"]
    log = Log.read(data_folder(args.data_path), args.dataset)
    output = args.output / args.dataset
    seeds = range(args.seed, args.seed + args.seeds)
    measured = [of_seed(log, output / str(seed), seed, settings, args) for seed in seeds]
    text = report(log, [one.rows for one in measured], [one.found for one in measured])
    cold, items = np.mean([one.numbers for one in measured], axis=0)
    text = f"{log.name}: {cold:,.0f} cold items of {items:,.0f}, {args.seeds} seed(s), recall@{K}\n\n{text}\n"
    for name in measured[0].cost:
        without, raised = np.mean([one.cost[PLAIN] for one in measured]), np.mean([one.cost[name] for one in measured])
        text += f"NDCG@{K} of the last events on trained items, {name}: {raised:.4f} ({raised / without - 1:+.1%})\n"
    text += f"lifts found: {', '.join(f'{one.lift:g}' for one in measured)}\n"
    (output / "cold.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


@dataclass(frozen=True)
class Measured:
    """Results of one seed.

    Attributes:
        rows: the predicted events on cold items.
        found: their ranks, by row of the table.
        cost: NDCG of the users' last events on trained items, by row of the table.
        numbers: numbers of cold and of all items.
        lift: the lift that the export found.
    """

    rows: np.ndarray
    found: Found
    cost: dict[str, float]
    numbers: tuple[int, int]
    lift: float


def of_seed(log: Log, output: Path, seed: int, settings: dict[str, Any], args: Namespace) -> Measured:
    """Hold out a tenth of the items, train, add them, and rank the events on them.

    Args:
        log: all events.
        output: folder of this seed.
        seed: seed of the held-out items.
        settings: settings of the training.
        args: arguments of the script.
    """
    rng = np.random.default_rng(seed)
    catalogue = np.unique(log.items.astype(str))
    cold = set(rng.permutation(catalogue)[: len(catalogue) // 10])
    is_cold = np.array([item in cold for item in log.items])

    root = log.write_dataset(output / "data", ~is_cold)
    given = {**settings, "eval_args": LEAVE_TWO_OUT}

    def trained(name: str, **more: str) -> Path:
        def work() -> dict[str, float]:
            checkpoint, seconds = train_on(root, log.name, output / "checkpoints", {**given, **more})
            export_checkpoint(checkpoint, output / name)
            return {"seconds": seconds}

        cell(output / f"{name}.json", work)
        return output / name

    frame = log.item_table()
    frame = frame[frame["item_id"].isin(cold) & (frame["title"] != "")]
    models = {}
    folder = trained("model")
    ways = [
        (PLAIN, folder, {"lift": 0}),
        (LIFTED, folder, {}),
        (f"{PLAIN}, boost {args.boost:g}", folder, {"lift": 0, "boost": args.boost}),
    ]
    if args.adapt:
        config = make_quiet_config("LongInterest", log.name, {**given, "data_path": str(root)})
        encoder = adapted(config, output / "encoder", args.adapt)
        ways.append((ADAPTED, trained("adapted", text_encoder=str(encoder)), {"lift": 0}))
    for name, where, how in ways:
        models[name] = Recommender.load(where)
        added = models[name].add_items(frame, **how).new
    model = models[PLAIN]
    among = torch.tensor(sorted(model.item_id(token) for token in added))
    rows = np.flatnonzero(is_cold & np.isin(log.items.astype(str), added))
    rows = np.sort(rng.permutation(rows)[: args.events])
    found = {name: (ranks(one, log, rows, among), ranks(one, log, rows)) for name, one in models.items()}
    last = pd.Series(np.flatnonzero(~is_cold)).groupby(log.users[~is_cold], sort=False).agg(["max", "size"])
    shown = np.sort(last["max"][last["size"] > LEAST].to_numpy())
    cost = {name: float(np.nanmean(ndcg(ranks(one, log, shown)))) for name, one in models.items()}
    texts = {"": model.served.weights["item_sources.text.vectors"]}
    if args.adapt:
        texts[", adapted encoder"] = encoded(model, read_texts(config, root / log.name / f"{log.name}.item"), encoder)
    found |= baselines(model, log, rows, among, ~is_cold, texts)
    return Measured(rows, found, cost, (len(added), model.n_items), used_lift(models[LIFTED].served.about))


def adapted(config: Config, folder: Path, layers: int) -> Path:
    """Adapt the encoder to the data set of a config, or go on if it was killed; returns the folder of the encoder."""
    if not folder.is_dir():
        adapt_encoder(config, folder, AdaptSettings(layers=layers))
    return folder.resolve()


def encoded(model: Recommender, texts: Mapping[str, str], encoder: Path) -> torch.Tensor:
    """Text vectors of all items by an encoder, [N, D]; zeros for items without a text."""
    written = [texts.get(token, "") for token in model.served.items.tokens]
    vectors = torch.as_tensor(TextEncoder(str(encoder)).encode(written))
    return vectors * torch.tensor([bool(text) for text in written]).unsqueeze(1)


def baselines(
    model: Recommender,
    log: Log,
    rows: np.ndarray,
    among: torch.Tensor,
    trained: np.ndarray,
    texts: Mapping[str, torch.Tensor],
) -> Found:
    """Ranks among cold and among all items by baselines without training of a recommender.

    Args:
        model: a served model that knows all items.
        log: all events.
        rows: events to predict.
        among: ids of the cold items.
        trained: mask of the events of the training.
        texts: text vectors of all items by the end of the rows' names, [N, D] each.
    """
    categories = [set(words) for words in model.served.items.categories]
    events = Counter(log.items[trained])
    popular: Counter[str] = Counter()
    for number, token in enumerate(model.served.items.tokens):
        for category in categories[number]:
            popular[category] += events[token]
    by_category = torch.tensor([float(sum(popular[word] for word in words)) for words in categories])
    units = [torch.nn.functional.normalize(vectors, dim=1) for vectors in texts.values()]
    generator = torch.Generator().manual_seed(0)
    names = ("random", "popularity of categories", *(way + end for end in texts for way in (TO_LAST, TO_RECENT)))
    found = {name: ({}, {}) for name in names}
    for mine, is_target in histories(log, rows):
        ids = np.array([model.item_id(item) for item in log.items[mine]])
        for place in np.flatnonzero(is_target):
            past = ids[:place][ids[:place] > 0][-RECENT:]
            # drawn for every event, so that events are independent
            drawn = torch.rand(len(by_category), generator=generator)
            scores: tuple[torch.Tensor | None, ...] = (None,) * len(names)
            if len(past):
                near = (unit @ wanted for unit in units for wanted in (unit[past[-1]], unit[past].mean(dim=0)))
                scores = drawn, by_category, *near
            for name, values in zip(names, scores, strict=True):
                for which, pool in enumerate((among, slice(1, None))):
                    found[name][which][mine[place]] = (
                        np.inf if values is None else float(ranks_among(values[pool], values[ids[place]]))
                    )
            if place == 0:
                for pair in found.values():
                    pair[0][mine[0]] = pair[1][mine[0]] = np.nan
    return {name: tuple(np.array([part[row] for row in rows]) for part in pair) for name, pair in found.items()}


def report(log: Log, rows: Sequence[np.ndarray], measured: Sequence[Found]) -> str:
    """Render the results of all seeds as a table in Markdown, and the lead over the best nearest text.

    Args:
        log: all events.
        rows: predicted events of each seed.
        measured: their ranks.
    """
    kept = [~np.isnan(found[PLAIN][0]) for found in measured]
    owner = pd.factorize(np.concatenate([log.users[some][known] for some, known in zip(rows, kept, strict=True)]))[0]
    hits = {
        name: [
            np.concatenate([found[name][pool][known] <= K for found, known in zip(measured, kept, strict=True)])
            for pool in (0, 1)
        ]
        for name in measured[0]
    }
    samples = {
        name: [bootstrap_means(part[None].astype(float), owner, resamples=2000)[:, 0] for part in pair]
        for name, pair in hits.items()
    }
    lines = [f"{len(owner):,} events", "", "| | among cold items | among all items |", "|---|---|---|"]
    for name, pair in hits.items():
        ends = [interval(drawn) for drawn in samples[name]]
        said = [f"{part.mean():.4f} ({low:.4f} to {high:.4f})" for part, (low, high) in zip(pair, ends, strict=True)]
        lines.append(f"| {name} | {said[0]} | {said[1]} |")
    lines += ["| GRU4Rec | 0, it has no row for them | 0 |", ""]
    leads = [(PLAIN, 0, "cold"), (LIFTED, 1, "all"), *([(ADAPTED, 0, "cold")] if ADAPTED in hits else [])]
    for name, pool, where in leads:
        best = max(
            (other for other in hits if other.startswith(TO_LAST)),
            key=lambda other, pool=pool: hits[other][pool].mean(),
        )
        lead = hits[name][pool].mean() / hits[best][pool].mean() - 1
        low, high = interval(samples[name][pool] / samples[best][pool] - 1)  # the same users in both
        lines.append(f"{name} against {best}, among {where} items: {lead:+.0%} ({low:+.0%} to {high:+.0%})")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
