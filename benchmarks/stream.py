"""A stream end to end: each event is predicted, then updates its user's state; the model is updated daily.

    uv run benchmarks/stream.py --dataset ml-latest-small --data_path DIR --output stream

A model is trained on the first 90 % (``--first``) of the events in time order. The rest comes event by event: the
user's state ranks all items, the rank of the event's item gives NDCG@10 (prequential evaluation), and then the state is
updated with the event. At the end of a day with events, ``recbole-li update`` updates the model with them, and the
states of the next day's users are computed again from their events. The baselines on the same stream are the first
model, frozen, and the first model with a memory that counts each event (Recommender.observe). Writes stream.csv and
stream.png (a running mean). A killed run continues after the last finished day.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
from common import add_data_arguments, data_folder, make_figure, make_parser, ndcg, ranks_among, say, serve
from replayed import Log, train_on

from recbole_longinterest.common.files import write_text
from recbole_longinterest.nn.transitions import LAGS
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState, recent_of, states_of
from recbole_longinterest.training.update.update import update_checkpoint

DAY, SMOOTH = 86_400.0, 1000


def main() -> None:
    """Replay the stream, and write the results."""
    parser = make_parser(__doc__)
    add_data_arguments(parser, "ml-latest-small", "stream")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of the first training")
    parser.add_argument("--update_epochs", type=int, default=2)
    parser.add_argument("--scope", default="head")
    parser.add_argument("--first", type=float, default=0.9, help="share of the events in the first training")
    parser.add_argument("--until", type=float, default=1.0, help="share of the events at which the stream ends")
    parser.add_argument("--days", type=int, help="number of days with events, after which to stop")
    args = parser.parse_args()
    log = Log.read(data_folder(args.data_path), args.dataset)
    output = args.output / args.dataset
    output.mkdir(parents=True, exist_ok=True)
    begin = round(args.first * len(log))
    root = log.write_dataset(output / "data", slice(begin))
    first = train_on(root, log.name, output / "checkpoints", {"epochs": args.epochs})[0]
    days = np.floor(log.times[begin : round(args.until * len(log))] / DAY)
    ends = begin + np.flatnonzero(np.diff(days, append=np.inf)) + 1
    ends = ends[: args.days] if args.days else ends
    place = output / "place.json"
    done = json.loads(place.read_text()) if place.is_file() else {"end": begin, "checkpoint": str(first), "lines": []}
    frozen, counting = serve(first, output / "frozen"), serve(first, output / "counting")
    replay(counting, log, np.arange(begin, done["end"]), count=True)  # its counts are in memory only
    for end in ends[ends > done["end"]]:
        rows = np.arange(done["end"], end)
        current = serve(Path(done["checkpoint"]), output / "current")
        gains = [replay(frozen, log, rows), replay(counting, log, rows, count=True), replay(current, log, rows)]
        parent = Path(done["checkpoint"])
        new = log.write(output / "day.inter", rows)
        made = update_checkpoint(
            parent,
            new,
            output=output / "checkpoints" / f"day-{end}.pth",
            scope=args.scope,
            settings={"epochs": args.update_epochs},
        )
        done["lines"] += [[int(row), float(log.times[row]), *each] for row, *each in zip(rows, *gains, strict=True)]
        done |= {"end": int(end), "checkpoint": str(made.checkpoint)}
        write_text(place, json.dumps(done))
        if parent != first:
            forget(parent)
        say(f"{end - begin:,} of {len(log) - begin:,} events, update {made.total_seconds:.1f} s\n")
    report(done["lines"], output)


def forget(checkpoint: Path) -> None:
    """Remove the files of an update that has been followed by another."""
    for end in ("", ".last"):
        checkpoint.with_name(checkpoint.name + end).unlink(missing_ok=True)
    shutil.rmtree(checkpoint.with_name(f"{checkpoint.name}.data"), ignore_errors=True)


def replay(model: Recommender, log: Log, rows: np.ndarray, count: bool = False) -> list[float]:
    """NDCG@10 of each event, predicted before it updates the state; NaN for a user's first event.

    Args:
        model: the model.
        log: the log.
        rows: indices of the events, ascending.
        count: whether the model's memory counts each event after its prediction.
    """
    if not len(rows):
        return []
    users = list(dict.fromkeys(log.users[rows]))
    read, last = [], {}
    for user in users:
        past = np.flatnonzero(log.users[: rows[0]] == user)
        last[user] = past[-LAGS:].tolist()
        columns = {"rating": log.ratings[past], "time": log.times[past]}
        read.append(model.reader.read_columns(log.items[past], columns))
    states: dict[str, InterestState] = dict(zip(users, states_of(model, read), strict=True))
    met = set(log.users[: rows[0]])
    gains = []
    for row in rows:
        state, item = states[log.users[row]], model.item_id(log.items[row])
        if log.users[row] not in met:
            gains.append(float("nan"))
        elif not item or not state.events:
            gains.append(0.0)
        else:
            scores = model.scores_of(state.interest, [state.seen], recent_of([state]))[0, 1:]
            gains.append(float(ndcg(float(ranks_among(scores, scores[item - 1])))))
        met.add(log.users[row])
        state.update(log.event(row))
        if count:
            last[log.users[row]] = [*last[log.users[row]], int(row)][-LAGS - 1 :]
            model.observe([log.event(each) for each in last[log.users[row]]], new=1)
    return gains


def report(lines: list[list[float]], output: Path) -> None:
    """Write the results of all events as CSV, print their means, and plot the curves."""
    with (output / "stream.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["event", "time", "frozen", "counting", "updated"])
        writer.writerows(lines)
    table = np.array(lines, dtype=float)
    table = table[~np.isnan(table[:, 2])]
    ways = dict(zip(("frozen", "counting", "updated daily"), table[:, 2:].T, strict=True))
    said = ", ".join(f"{name} {values.mean():.4f}" for name, values in ways.items())
    say(f"{len(table):,} events: NDCG@10 {said}\n")
    width = min(SMOOTH, max(len(table) // 5, 1))
    figure, axes = make_figure(8, 4)
    for name, values in ways.items():
        mean = np.convolve(values, np.ones(width) / width, mode="valid")
        when = table[width - 1 :, 1].astype("datetime64[s]")
        axes.plot(when, mean, label=f"{name}, {values.mean():.4f} over all")
    axes.set(ylabel=f"NDCG@10, mean of the last {width} events", ylim=(0, None))
    axes.legend()
    figure.autofmt_xdate()
    figure.tight_layout()
    figure.savefig(output / "stream.png", dpi=150)


if __name__ == "__main__":
    main()
