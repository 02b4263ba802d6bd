"""NDCG@10 by the length of a user's history, for LongInterest reading 50 events, 200, all of them, or a stream.

    uv run benchmarks/history_length.py --output DIR

One training per seed with the default settings; the best epoch is chosen on the validation data with whole histories.
Then the same model is evaluated with each window, and as a stream: event by event with a state, as in serving. A killed
run resumes from the checkpoints in DIR/saved.
"""

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import add_data_arguments, make_parser, make_quiet_config, ndcg, write_csv

from recbole_longinterest.nn.memory import last_items

BINS = ((1, 20), (21, 50), (51, 100), (101, 200), (201, 10**9))
WINDOWS = (50, 200, None)
WAYS = (*WINDOWS, "streaming")


def main() -> None:
    """Train, evaluate, print a table and write history_length.csv."""
    parser = make_parser(__doc__)
    add_data_arguments(parser, "ml-100k", "history_length")
    parser.add_argument("--seeds", default="2020,2021,2022")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    rows = [
        row for seed in args.seeds.split(",") for row in evaluate(args.dataset, args.data_path, int(seed), args.output)
    ]
    write_csv(args.output / "history_length.csv", rows)
    sys.stdout.write("| test users with | users | " + " | ".join(map(_name, WAYS)) + " |\n")
    sys.stdout.write("|---|---|" + "---|" * len(WAYS) + "\n")
    for low, high in (*BINS, (1, 10**9)):
        cells = []
        for window in WAYS:
            part = [r for r in rows if r["phase"] == "test" and r["window"] == (window or "whole") and r["low"] == low]
            part = [r for r in part if r["high"] == high]
            cells.append(f"{statistics.mean(float(r['ndcg']) for r in part):.4f}")
        name = (
            "any history"
            if high == 10**9 and low == 1
            else f"{low} to {high} events"
            if high < 10**9
            else f"{low} and more"
        )
        sys.stdout.write(f"| {name} | {part[0]['users']} | " + " | ".join(cells) + " |\n")


def evaluate(name: str, data_path: str | None, seed: int, output: Path) -> list[dict[str, object]]:
    """NDCG@10 of one seed by phase, window and history length."""
    import recbole.data.utils
    from recbole.utils import get_model, get_trainer, init_seed

    settings: dict[str, object] = {"seed": seed, "checkpoint_dir": str(output / "saved"), "resume": True}
    if data_path:
        settings["data_path"] = data_path
    config = make_quiet_config("LongInterest", name, settings)
    init_seed(seed, True)
    dataset = recbole.data.utils.create_dataset(config)
    train, *held_out = recbole.data.utils.data_preparation(config, dataset)
    init_seed(seed, True)
    model = get_model("LongInterest")(config, train._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], "LongInterest")(config, model)
    trainer.fit(train, held_out[0], show_progress=False)
    trainer.evaluate(held_out[1], show_progress=False)  # loads the best epoch
    rows: list[dict[str, object]] = []
    for phase, part in zip(("validation", "test"), (held._dataset for held in held_out), strict=True):
        length = part.inter_feat.whole_length()
        for window in WAYS:
            part.history_limit = None if window == "streaming" else window
            loader = recbole.data.utils.get_dataloader(config, "test")(config, part, None)
            scores_of = (lambda batch: _streamed(model, batch)) if window == "streaming" else model.full_sort_predict
            gain = ndcg_of_rows(model, scores_of, loader, config["device"])
            for low, high in (*BINS, (1, 10**9)):
                chosen = gain[(length >= low) & (length <= high)]
                rows.append(
                    {"seed": seed, "phase": phase, "window": window or "whole", "low": low, "high": high}
                    | {"users": len(chosen), "ndcg": f"{float(chosen.mean()):.6f}"}
                )
    return rows


@torch.no_grad()
def _streamed(model: Any, interaction: Any) -> torch.Tensor:  # noqa: ANN401 - LongInterest, RecBole's Interaction
    """Scores of all items after the events of each row, processed one by one."""
    items, levels = model.item_vectors(), model.side_levels(interaction)
    item_seq, length = interaction[model.ITEM_SEQ], interaction[model.ITEM_SEQ_LEN]
    state = model.interest_encoder.start(len(item_seq))
    out = items.new_zeros(len(item_seq), items.shape[1])
    for position in range(item_seq.shape[1]):
        one = slice(position, position + 1)
        now = {name: value[:, one] for name, value in levels.items()}
        interest, state = model.extend(item_seq[:, one], now, items, state)
        last = length == position + 1  # later positions are padding
        out[last] = interest[last]
    interest, items = model.comparable(out, items)
    scores = model.add_repeats(interest @ items.T, item_seq)
    return scores if model.memory is None else model.memory.add_to(scores, last_items(item_seq, length))


def _name(way: object) -> str:
    return "streaming" if way == "streaming" else f"window {way or 'whole'}"


@torch.no_grad()
def ndcg_of_rows(
    model: torch.nn.Module,
    scores_of: Callable[[Any], torch.Tensor],
    loader: Any,  # noqa: ANN401
    device: torch.device,
) -> torch.Tensor:
    """NDCG@10 of every row in the part's own order, one target each."""
    model.eval()
    gains = []
    for interaction, _, _, target in loader:
        scores = scores_of(interaction.to(device)).cpu()
        scores[:, 0] = float("-inf")
        rank = (scores > scores.gather(1, target.unsqueeze(1))).sum(dim=1)  # from 0
        gains.append(torch.from_numpy(ndcg(rank + 1)))
    gain = torch.cat(gains)
    return torch.empty_like(gain).scatter(0, loader.order, gain)  # the loader sorts rows by length


if __name__ == "__main__":
    main()
