"""Lists of other systems as rows: the figures of the model that made them, and every check."""

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.experiments.comparison import data, lists
from recbole_longinterest.experiments.comparison.cell import RANKS, Cell
from recbole_longinterest.experiments.comparison.cells import run_cell
from recbole_longinterest.experiments.comparison.driver import Outcome, without_twins
from recbole_longinterest.experiments.comparison.lists import ListCell, check_lists, check_names, list_cells, notes_of
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.report import write_report
from recbole_longinterest.experiments.comparison.rows import read_rows
from recbole_longinterest.experiments.comparison.views import Place, View, read_views
from tests.conftest import synthetic_inter
from tests.data.test_ties import days

PROTOCOLS = ("native", "seen-masked")


@pytest.fixture
def listed(cell: Callable[..., Cell], tmp_path: Path) -> Callable[..., ListCell]:
    """A cell of a file with these rows, or with this text; ``run`` ranks it."""

    def make(content: pd.DataFrame | str, name: str = "Other", run: bool = False, **options: Any) -> ListCell:
        suffix = options.pop("suffix", ".csv")
        columns = options.pop("columns", {})
        file = tmp_path / f"{name}{suffix}"
        if isinstance(content, str):
            file.write_text(content)
        elif suffix == ".parquet":
            content.to_parquet(file)
        else:
            content.to_csv(file, index=False)
        like = cell("Pop", **options)
        (made,) = list_cells({name: str(file)}, columns, ["tiny"], like.settings, 1, tmp_path / "comparison")
        if run:
            made.folder.mkdir(parents=True, exist_ok=True)
            run_cell(made)
        return made

    return make


def parts_of(cell: Callable[..., Cell], **options: Any) -> Any:
    train, _, test = data.make_dataset(cell("Pop", **options).config()).build()
    return train, test


def plain_ease(train: Any, test: Any, reg_weight: float) -> tuple[np.ndarray, np.ndarray]:
    """EASE in plain numpy: scores of the test rows and what each user has had, [B, N]."""
    histories: dict[int, list[int]] = {}
    had = np.zeros((len(test), test.item_num))
    log = test.event_log["item_id_list"].numpy()
    rows = zip(test.inter_feat.history_start().tolist(), test.inter_feat.position.tolist(), strict=True)
    for row, (begin, end) in enumerate(rows):
        had[row, log[begin:end]] = 1
    begins, ends = train.inter_feat.history_start().tolist(), train.inter_feat.position.tolist()
    for begin, end in zip(begins, ends, strict=True):
        histories[begin] = sorted({*histories.get(begin, []), *log[begin : end + 1].tolist()})
    users = np.zeros((len(histories), test.item_num))
    for user, items in enumerate(histories.values()):
        users[user, items] = 1
    inverse = np.linalg.inv(users.T @ users + reg_weight * np.eye(test.item_num))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return had @ weights, had


def table_of(test: Any, scores: np.ndarray, most: int, by: str = "rank") -> pd.DataFrame:
    """The best items of every test row with their ranks or scores, padding left out."""
    best = np.argsort(-scores[:, 1:], axis=1, kind="stable")[:, :most] + 1
    users = test.id2token("user_id", test.inter_feat["user_id"].numpy())
    value = np.tile(np.arange(1, best.shape[1] + 1), (len(best), 1))
    if by == "score":
        value = np.take_along_axis(scores, best, axis=1)
    columns = {"user": np.repeat(users, best.shape[1]), "item": test.id2token("item_id", best.ravel())}
    return pd.DataFrame({**columns, by: value.ravel()})


def metrics(cell: Cell) -> dict[str, dict[str, float]]:
    result = cell.result()
    assert result is not None and result["status"] == "finished"
    found: dict[str, dict[str, float]] = result["metrics"]
    return found


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_plain_numpy_ease_list_has_the_ndcg_of_the_built_in_one(
    cell: Callable[..., Cell], listed: Callable[..., ListCell], suffix: str
) -> None:
    # Without repeats, as masked lists cannot name a target that the user has had before.
    given: dict[str, Any] = {"inter": synthetic_inter(users=80, items=40), "rm_dup_inter": "first"}
    built_in = metrics(cell("SeqEASE", run=True, reg_weight=5.0, **given))
    train, test = parts_of(cell, **given)
    scores, had = plain_ease(train, test, 5.0)
    unseen = np.where(had > 0, -np.inf, scores)
    native, masked = (
        metrics(listed(table_of(test, values, 10), name, run=True, suffix=suffix, **given))
        for name, values in (("native", scores), ("masked", unseen))
    )
    assert built_in["native"]["ndcg@10"] > 0 and built_in["seen-masked"]["ndcg@10"] > 0
    for name in ("ndcg@10", "recall@10", "mrr@10", "itemcoverage@10", "averagepopularity@10"):
        assert native["native"][name] == pytest.approx(built_in["native"][name], abs=1e-9)
        assert masked["seen-masked"][name] == pytest.approx(built_in["seen-masked"][name], abs=1e-9)


def test_scores_of_all_items_give_exact_ranks_in_both_protocols(
    cell: Callable[..., Cell], listed: Callable[..., ListCell]
) -> None:
    model = cell("SeqEASE", run=True, reg_weight=5.0)
    train, test = parts_of(cell)
    made = listed(table_of(test, plain_ease(train, test, 5.0)[0], test.item_num - 1, "score"), run=True)
    ranks, theirs = (pd.read_parquet(each.folder / RANKS) for each in (made, model))
    pd.testing.assert_frame_equal(ranks, theirs)
    for protocol in PROTOCOLS:
        assert metrics(made)[protocol] == pytest.approx(metrics(model)[protocol], abs=1e-9)
    assert notes_of([made]) == ["Other on tiny: all items are listed, so ranks are exact."]


def test_equal_scores_count_half(cell: Callable[..., Cell], listed: Callable[..., ListCell]) -> None:
    _, test = parts_of(cell)
    made = listed(table_of(test, np.zeros((len(test), test.item_num)), test.item_num - 1, "score"), run=True)
    ranks = pd.read_parquet(made.folder / RANKS)
    assert (ranks["native"] == 1 + (test.item_num - 2) / 2).all() and ranks["tied"].all()


def test_what_is_not_in_a_list_is_not_found_and_short_lists_are_said(
    cell: Callable[..., Cell], listed: Callable[..., ListCell]
) -> None:
    _, test = parts_of(cell)
    order = np.tile(-np.arange(test.item_num, dtype=float), (len(test), 1))
    made = listed(table_of(test, order, 10), run=True)
    ranks = pd.read_parquet(made.folder / RANKS)
    target = test.inter_feat["item_id"].numpy()
    assert (ranks["native"].to_numpy() == np.where(target <= 10, target, np.inf)).all()
    assert not ranks.loc[np.isinf(ranks["native"]), "tied"].any()
    log = test.event_log["item_id_list"].tolist()
    left = []
    spans = zip(test.inter_feat.history_start().tolist(), test.inter_feat.position.tolist(), strict=True)
    for (begin, end), item, rank in zip(spans, target.tolist(), ranks["seen-masked"], strict=True):
        kept = [place for place in range(1, 11) if place == item or place not in log[begin:end]]
        left.append(len(kept))
        assert rank == (kept.index(item) + 1 if item in kept else np.inf)
    assert notes_of([made]) == [
        "Other on tiny: an item that is not in a list counts as not found.",
        f"Other on tiny: without seen items {sum(n < 10 for n in left)} of {len(test)} lists have fewer than 10 items, "
        f"the shortest {min(left)}; the seen-masked metrics use these shorter lists.",
    ]
    assert metrics(made)["seen-masked"]["itemcoverage@10"] <= 10 / test.item_num


def test_other_column_names_users_that_are_not_tested_and_whole_numbers_with_a_point(
    cell: Callable[..., Cell], listed: Callable[..., ListCell]
) -> None:
    _, test = parts_of(cell)
    scores = np.random.default_rng(0).random((len(test), test.item_num))
    table = table_of(test, scores, 10, "score")
    first = metrics(listed(table, "plain", run=True))
    named = table.rename(columns={"user": "user_id", "item": "item_id", "score": "how good"}).iloc[::-1]
    assert metrics(listed(named, "named", run=True, columns={"score": "how good"})) == first


def test_a_changed_file_is_another_cell_and_a_finished_one_is_not_read_again(
    cell: Callable[..., Cell], listed: Callable[..., ListCell]
) -> None:
    _, test = parts_of(cell)
    table = table_of(test, np.random.default_rng(0).random((len(test), test.item_num)), 10)
    made = listed(table, run=True)
    result = made.result()
    assert result is not None and result["manifest"]["files"]["lists: Other.csv"] == made.digest
    assert made.differs({}, {}, data.Fingerprint(**result["data"])) == ""
    made.file.unlink()
    check_lists([made])  # finished
    other = listed(table.assign(rank=table["rank"] + 1))
    assert other.folder != made.folder and not other.finished
    other.file.write_text("user,item,rank\n")
    with pytest.raises(ValueError, match=r"Other\.csv was changed or removed during the comparison\. Run it again"):
        check_lists([other])
    again = listed(table.assign(rank=table["rank"] + 1), "Twin")
    kept, same = without_twins([other, again])
    assert kept == [other] and same == ["Twin equals Other on tiny: they have the same settings."]


HEAD = "user,item,rank\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.drop(columns="rank"),
            r"has no column rank or score; its columns are user, item\. Lists need user",
        ),
        (lambda t: t.rename(columns={"item": "what"}), r"has no column item; its columns are user, what, rank"),
        (
            lambda t: pd.concat([t, pd.DataFrame({"user": ["zz", "zy"], "item": ["i1", "i1"], "rank": [1, 1]})]),
            r"2 of its 32 users are not in the data set tiny, first 'zz'\. Make the lists from this split",
        ),
        (
            lambda t: t.assign(item=t["item"].where(t.index > 0, "[PAD]")),
            r"1 of its \d+ items are not in the data set tiny, first '\[PAD\]'",
        ),
        (lambda t: t.assign(item=t["item"].where(t.index > 0)), r"1 rows have no value for items\. Remove them"),
        (
            lambda t: t.assign(rank=t["rank"].astype(object).where(t.index > 0, "first")),
            r"1 values of rank are not finite numbers, first 'first' in row 1\. Write numbers",
        ),
        (
            lambda t: t.drop(columns="rank").assign(score=np.where(t.index > 1, 1.0, np.nan)),
            r"2 values of score are not finite numbers, first 'nan' in row 1",
        ),
        (
            lambda t: t.drop(columns="rank").assign(score=np.where(t.index > 1, 1.0, -np.inf)),
            r"2 values of score are not finite numbers, first '-inf' in row 1",
        ),
        (
            lambda t: pd.concat([t, t.iloc[:2].assign(rank=[98, 99])]),
            r"2 pairs of user and item occur twice, first user 'u\d+', item 'i\d+'\. List each item once per user",
        ),
        (lambda t: t.assign(rank=t["rank"].clip(upper=9)), r"a rank twice for the same user, .* 'u\d+', rank 9"),
        (
            lambda t: t[t["user"] != "u7"],
            r"has lists for 29 of the 30 test users; the first without one is 'u7'\. Every test user needs a list",
        ),
        (
            lambda t: t[(t["user"] != "u7") | (t["rank"] < 4)],
            r"the lists of 1 of 30 test users have fewer than 10 items, first 'u7' with 3\. Make longer",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    cell: Callable[..., Cell],
    listed: Callable[..., ListCell],
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    _, test = parts_of(cell)
    table = table_of(test, np.random.default_rng(0).random((len(test), test.item_num)), 10)
    with pytest.raises(ValueError, match=message):
        check_lists([listed(change(table))])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"who": "user"}, r"The columns of lists are user, item, rank, score; got 'who'"),
        ({"user": "who"}, r"has no column who \(for user\); its columns are user, item, rank"),
    ],
)
def test_wrong_names_of_columns_are_refused(
    listed: Callable[..., ListCell], columns: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_lists([listed(HEAD + "u1,i1,1\n", columns=columns)])


def test_sampled_candidates_are_refused(listed: Callable[..., ListCell]) -> None:
    sampled = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "uni5"}
    with pytest.raises(ValueError, match=r"Other: lists are ranked among all items, but eval_args draws candidates"):
        check_lists([listed(HEAD, eval_args=sampled)])


def test_several_test_events_of_a_user_are_refused(cell: Callable[..., Cell], tmp_path: Path) -> None:
    given: dict[str, Any] = {"inter": days(), "split_by_time": [0.34, 0.67]}
    views = read_views(("file",), ("time",), {"split_by_time": [0.34, 0.67]})
    file = tmp_path / "lists.csv"
    for targets in ("first", "successive"):
        like = cell("Pop", **given, split_targets=targets)
        _, test = parts_of(cell, **given, split_targets=targets)
        table = table_of(test, np.random.default_rng(0).random((len(test), test.item_num)), 10)
        table.drop_duplicates(["user", "item"]).drop_duplicates(["user", "rank"]).to_csv(file, index=False)
        (made,) = list_cells({"Other": str(file)}, {}, ["tiny"], like.settings, 1, tmp_path / "comparison", views)
        if targets == "first":
            check_lists([made])
            continue
        with pytest.raises(
            ValueError, match=r"Other: there is one list for each user, but the 160 test .* to 40 users"
        ):
            check_lists([made])


def test_lists_that_leave_out_seen_items_are_said(cell: Callable[..., Cell], listed: Callable[..., ListCell]) -> None:
    given: dict[str, Any] = {"inter": synthetic_inter(users=80, items=40), "rm_dup_inter": "first"}
    train, test = parts_of(cell, **given)
    scores, had = plain_ease(train, test, 5.0)
    notes = [
        notes_of([listed(table_of(test, values, 10), name, run=True, **given)])
        for name, values in (("All", scores), ("Unseen", np.where(had > 0, -np.inf, scores)))
    ]
    assert not any("leave out all items" in note for note in notes[0])
    assert notes[1][1] == (
        "Unseen on tiny: 80 of 80 lists leave out all items that the user has had, which most models rank natively. So "
        "compare this row with them seen-masked."
    )


@pytest.mark.parametrize(
    ("given", "datasets", "message"),
    [
        ({"a/b": "x.csv"}, ["one"], r"The name of lists must be letters, digits, spaces and .*; got 'a/b'"),
        ({"<b>": "x.csv"}, ["one"], r"The name of lists must be letters, .*; got '<b>'"),
        ({"..": "x.csv"}, ["one"], r"The name of lists must be letters, .*; got '\.\.'"),
        ({"mine": "x.csv"}, ["one", "two"], r"there are 2: write mine@DATASET=FILE"),
        ({"mine@three": "x.csv"}, ["one", "two"], r"mine@three: 'three' is not compared; the data sets are one, two"),
        ({"mine": "x.csv"}, ["one"], r"There is no file of lists x\.csv \(for mine\)"),
    ],
)
def test_names_and_files_are_checked(given: dict[str, str], datasets: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        list_cells(given, {}, datasets, {}, 1, tmp_path)


def test_the_name_of_another_row_is_refused(cell: Callable[..., Cell], listed: Callable[..., ListCell]) -> None:
    check_names([cell("Pop"), listed(HEAD, "Pop2")])
    with pytest.raises(ValueError, match="Pop is already a row of the comparison"):
        check_names([cell("Pop"), listed(HEAD, "Pop")])


def test_notes_are_of_lists_that_were_ranked(cell: Callable[..., Cell], listed: Callable[..., ListCell]) -> None:
    assert lists.notes_of([cell("Pop"), listed(HEAD)]) == []


def test_lists_beside_several_tables_say_which_have_no_row_of_them(
    cell: Callable[..., Cell], listed: Callable[..., ListCell]
) -> None:
    shuffled, by_time = (replace(cell("Pop"), place=Place(view)) for view in (View("random"), View(split="time")))
    assert lists.notes_of([cell("Pop"), shuffled, by_time, listed(HEAD)]) == [
        "Other has no lists for tiny, split by time; tiny, ties in random order: a file has the targets of one split."
    ]
    both = [listed(HEAD), replace(listed(HEAD), place=shuffled.place)]
    assert lists.notes_of([shuffled, *both]) == []


def test_lists_of_a_random_order_are_judged_on_its_targets(
    cell: Callable[..., Cell], tmp_path: Path, write_dataset: Callable[..., Path]
) -> None:
    day = cell("Pop", inter=days())
    views = read_views(("file", "random"), ("leave-one-out",), {})
    files = {}
    for seed in (0, 1):
        _, test = parts_of(cell, inter=days(), tie_order="random", tie_seed=seed)
        files[f"Other@random-{seed}"] = tmp_path / f"{seed}.csv"
        best = np.zeros((len(test), test.item_num))
        best[np.arange(len(test)), test.inter_feat["item_id"].numpy()] = 1
        table_of(test, best, 10).to_csv(files[f"Other@random-{seed}"], index=False)
    given = {key: str(file) for key, file in files.items()}
    made = list_cells(given, {}, ["tiny"], day.settings, 1, tmp_path / "comparison", views)
    check_lists(made)
    for each in made:
        each.folder.mkdir(parents=True, exist_ok=True)
        run_cell(each)
        assert metrics(each)["native"]["ndcg@10"] == 1
    assert [(each.table, each.run) for each in made] == [
        (f"tiny, {views[1].name}", f"seed 1, tie seed {seed}") for seed in (0, 1)
    ]
    (row,) = read_rows("tiny", [(each, each.result() or {}) for each in made])
    assert row.said_seeds == "no seed, 2 orders"


@pytest.mark.parametrize(
    ("key", "orders", "message"),
    [
        ("Other", ("random",), "does not name the random order. Write Other@random-N=FILE"),
        ("Other@random-1", ("file",), "the comparison has no random order of ties. Add --ties file,random"),
        ("Other@tiny@random-3", ("file", "random"), "the tie seeds of a comparison are 0 to 2; got '3'"),
    ],
)
def test_an_order_of_ties_that_is_not_compared_is_refused(
    tmp_path: Path, key: str, orders: tuple[str, ...], message: str
) -> None:
    (tmp_path / "a.csv").write_text(HEAD)
    views = read_views(orders, ("leave-one-out",), {})
    with pytest.raises(ValueError, match=re.escape(message)):
        list_cells({key: str(tmp_path / "a.csv")}, {}, ["tiny"], {}, 1, tmp_path, views)


def test_the_report_has_a_row_of_lists_and_what_must_be_said(
    cell: Callable[..., Cell], listed: Callable[..., ListCell], tmp_path: Path
) -> None:
    _, test = parts_of(cell)
    made = listed(table_of(test, np.random.default_rng(0).random((len(test), test.item_num)), 10), run=True)
    cells = [cell("GRU4Rec", run=True), cell("Pop", run=True), made]
    text = write_report(Outcome(Plan(["GRU4Rec"], ["tiny"], [1]), cells, False, notes_of(cells)), tmp_path)
    assert f"lists, SHA-256 {made.digest[:12]} |" in text.replace("**", "")
    assert "Other on tiny: an item that is not in a list counts as not found." in text
    assert f"Input, SHA-256: lists: Other.csv {made.digest}" in text
    with (tmp_path / "results.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "Other"]
    assert [row["value"] for row in rows if row["protocol"] == "validation"] == [""]
    found = metrics(made)["seen-masked"]["ndcg@10"]
    assert [float(r["value"]) for r in rows if (r["protocol"], r["metric"]) == ("seen-masked", "ndcg@10")] == [found]
