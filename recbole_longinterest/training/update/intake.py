"""The intake report of an update: statistics of the new events, and how much they changed the model.

It helps to judge whether the events come from real users: events per user and item, groups of similar users, and items
that gained popularity or rank. The report rejects nothing; `caps` and `gate` do that.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.files import write_text
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.common.printable import printable, printable_cell
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.training.update.alike import ALIKE, LEAST_ITEMS, LEAST_USERS, find_alike
from recbole_longinterest.training.update.lines import header_of
from recbole_longinterest.training.update.new_events import read_events
from recbole_longinterest.training.update.panel import TOP, PanelRanks

LISTED = 20  # users, items and groups listed in the JSON file; the table has every item
MAX_SHOWN = 60  # characters of a token shown in text
SHARED_BY = 0.9  # an item is shared by a group if this share of its users have it
INTAKE, TABLE, QUARANTINE = ".intake.json", ".intake.csv", ".quarantine.inter"


class Intake:
    """Counts of the old and new events of an update by user and item.

    Args:
        config: config of the training.
        old: ``.inter`` file of the training.
        merged: the merged ``.inter`` file, which begins with the old events.
        tokens: item tokens by id of the merged data.
    """

    def __init__(self, config: Settings, old: Path, merged: Path, tokens: list[str]) -> None:
        separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
        user, item = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]

        def read(path: Path) -> pd.DataFrame:
            return read_events(path, header_of(path, separator, encoding), [user, item], separator, encoding)

        number, whole = len(read(old)), read(merged)
        self.old = whole.iloc[:number].rename(columns={user: "user", item: "item"}).astype(object)
        self.new = whole.iloc[number:].rename(columns={user: "user", item: "item"}).astype(object)
        self.tokens = tokens
        self.new_users = set(self.new["user"]) - set(self.old["user"])

    def table(self, before: PanelRanks, after: PanelRanks) -> pd.DataFrame:
        """Return a table with one row per item: event counts, popularity ranks, and ranks on the panel.

        Args:
            before: ranks with the parent's weights; NaN for items that the parent does not know.
            after: ranks with the new weights.
        """
        of_new_users = self.new["item"][self.new["user"].isin(self.new_users)]
        counts = {
            "events_before": self.old["item"],
            "events_new": self.new["item"],
            "events_of_new_users": of_new_users,
        }
        items = pd.Index(self.tokens[1:])
        table = pd.DataFrame(
            {name: column.value_counts().reindex(items, fill_value=0).to_numpy() for name, column in counts.items()}
        )
        table.insert(0, "item", items)
        table["popularity_before"] = _places(table["events_before"].to_numpy())
        table["popularity_after"] = _places((table["events_before"] + table["events_new"]).to_numpy())
        for name, ranks in (("before", before), ("after", after)):
            table[f"rank_{name}"] = ranks.mean[1:].round(2)
            table[f"top{TOP}_{name}"] = ranks.in_top[1:]
        return table

    def report(self, table: pd.DataFrame, panel: int, quarantined: dict[str, int]) -> dict[str, Any]:
        """Return the report as plain data.

        Args:
            table: from :meth:`table`.
            panel: number of users of the panel.
            quarantined: number of events removed by each cap.
        """
        by_user = self.new.groupby("user", sort=False)["item"].agg(["size", "nunique"])
        known = table["rank_before"].notna()
        moved = table.assign(
            popularity_rise=table["popularity_before"] - table["popularity_after"],
            rank_rise=(table["rank_before"] - table["rank_after"]).round(2),
            top_gain=table[f"top{TOP}_after"] - table[f"top{TOP}_before"],
        )[known]
        groups = find_alike(self.new["user"], self.new["item"])
        return {
            "events": len(self.new),
            "quarantined": quarantined,
            "users": {
                "number": len(by_user),
                "new": len(self.new_users),
                "events_each": _spread(by_user["size"].to_numpy()),
                "most_events": [
                    {"user": str(user), "events": int(row["size"]), "items": int(row["nunique"])}
                    for user, row in by_user.nlargest(LISTED, "size").iterrows()
                ],
            },
            "items": {
                "number": int((table["events_new"] > 0).sum()),
                "new": int((~known).sum()),
                "events_each": _spread(table["events_new"][table["events_new"] > 0].to_numpy()),
                "most_events": _rows(table.nlargest(LISTED, "events_new")),
            },
            "moves": {
                "panel_users": panel,
                "mean_absolute_rank_change": round(float(moved["rank_rise"].abs().mean()), 2) if len(moved) else 0.0,
                "popularity_rises": _rows(moved.nlargest(LISTED, "popularity_rise"), "popularity_rise"),
                "rank_rises": _rows(moved.nlargest(LISTED, "rank_rise"), "rank_rise"),
                "rank_falls": _rows(moved.nsmallest(LISTED, "rank_rise"), "rank_rise"),
                "top_gains": _rows(moved.nlargest(LISTED, "top_gain"), "top_gain"),
            },
            "alike": {
                "method": f"groups of at least {LEAST_USERS} users, linked by a Jaccard index of their new items of at "
                f"least {ALIKE}; users of fewer than {LEAST_ITEMS} items are left out",
                "groups": len(groups),
                "users": sum(map(len, groups)),
                "largest": [self._group(group) for group in groups[:LISTED]],
            },
        }

    def _group(self, users: list[str]) -> dict[str, Any]:
        rows = self.new[self.new["user"].isin(set(users))]
        having = rows.drop_duplicates(["user", "item"])["item"].value_counts()
        shared = having[having >= SHARED_BY * len(users)]
        return {
            "size": len(users),
            "new_users": len(self.new_users.intersection(users)),
            "events": len(rows),
            "shared_items": [str(item) for item in shared.index[:LISTED]],
            "users": users[:LISTED],
        }


def write_report(report: dict[str, Any], table: pd.DataFrame, checkpoint: Path) -> Path:
    """Write the report and the item table beside a checkpoint; return the report's file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.astype(object).where(table.notna(), "").itertuples(index=False):
        writer.writerow(map(printable_cell, row))
    write_text(beside(checkpoint, TABLE), text.getvalue())
    file = beside(checkpoint, INTAKE)
    write_text(file, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return file


def read_report(checkpoint: Path) -> dict[str, Any] | None:
    """Read the report beside a checkpoint; None if it does not exist."""
    file = beside(checkpoint, INTAKE)
    if not file.is_file():
        return None
    report: dict[str, Any] = read_json(file)
    return report


def beside(checkpoint: Path, end: str) -> Path:
    """Path of a file beside a checkpoint, with an ending appended to its name."""
    return checkpoint.with_name(checkpoint.name + end)


def as_text(report: dict[str, Any]) -> str:
    """Format the report for the command line."""
    users, items, moves, alike = (report[name] for name in ("users", "items", "moves", "alike"))
    lines = [
        f"intake: {report['events']:,} events of {users['number']:,} users ({users['new']:,} new) on "
        f"{items['number']:,} items ({items['new']:,} new)",
        f"  events per user: {_spread_text(users['events_each'])}",
        f"  events per item: {_spread_text(items['events_each'])}",
    ]
    lines += [f"  quarantined by {cap}: {number:,} events" for cap, number in report["quarantined"].items()]
    for row in moves["popularity_rises"][:3]:
        if row["popularity_rise"] > 0:
            lines.append(
                f"  popularity: {_shown(row['item'])} rises from place {row['popularity_before']:,} to "
                f"{row['popularity_after']:,}; {row['events_new']:,} new events after {row['events_before']:,}, "
                f"{row['events_of_new_users']:,} of them by new users; its rank for old users goes from "
                f"{row['rank_before']:,.0f} to {row['rank_after']:,.0f}"
            )
    for row in moves["rank_rises"][:3]:
        if row["rank_rise"] >= 1:
            lines.append(
                f"  rank for {moves['panel_users']} old users: {_shown(row['item'])} rises from "
                f"{row['rank_before']:,.0f} to {row['rank_after']:,.0f}; users with it among their {TOP} best "
                f"items: {row[f'top{TOP}_before']} before, {row[f'top{TOP}_after']} after"
            )
    lines.append(f"  mean change of an item's rank: {moves['mean_absolute_rank_change']:,} places")
    if alike["groups"]:
        largest = alike["largest"][0]
        shared = ", ".join(map(_shown, largest["shared_items"][:3])) or "none"
        lines.append(
            f"  users that look alike: {alike['users']:,} in {alike['groups']:,} groups; the largest has "
            f"{largest['size']:,} users ({largest['new_users']:,} new), items in common: {shared}"
        )
    else:
        lines.append("  users that look alike: none")
    return "\n".join(lines)


def _places(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank of each item by its number of events, 1 for the most; equal counts share the best rank."""
    return pd.Series(-counts).rank(method="min").astype(np.int64).to_numpy()


def _spread(counts: NDArray[np.int64]) -> dict[str, float]:
    if not len(counts):
        return {"median": 0, "p99": 0, "most": 0}
    return {"median": float(np.median(counts)), "p99": float(np.quantile(counts, 0.99)), "most": int(counts.max())}


def _spread_text(spread: dict[str, float]) -> str:
    return f"median {spread['median']:g}, 99 % have up to {spread['p99']:,.0f}, most {spread['most']:,}"


def _rows(table: pd.DataFrame, moved: str | None = None) -> list[dict[str, Any]]:
    """Rows of a table as plain data; with ``moved``, only rows where that column is not 0."""
    chosen = table if moved is None else table[table[moved] != 0]
    return json.loads(chosen.to_json(orient="records"))


def _shown(token: str) -> str:
    """Shorten and escape a token for display."""
    return printable(token) if len(token) <= MAX_SHOWN else f"{printable(token[:MAX_SHOWN])}..."
