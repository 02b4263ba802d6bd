"""Parquet files of histories give what one call gives for all users, and what is done is not done again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from recbole_longinterest.common.storage import open_storage
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.partitions import (
    VECTORS,
    Batch,
    do_partition,
    left_to_do,
    partitions_of,
    write_item_vectors,
)
from recbole_longinterest.serving.recommender import Recommender
from tests.served import random_served, write_histories

FILES, USERS = 3, 4


@pytest.fixture
def model(tmp_path: Path) -> Recommender:
    write_folder(random_served(), tmp_path / "m")
    return Recommender.load(tmp_path / "m")


def write_partitions(folder: Path, events: pd.DataFrame) -> None:
    """Users dealt over some files, in two folders."""
    users = events["user_id"].unique()
    for number in range(FILES):
        place = folder / f"part={number % 2}" / f"{number}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        events[events["user_id"].isin(users[number::FILES])].to_parquet(place, index=False)
    (folder / "_SUCCESS.parquet").write_bytes(b"")  # of Spark


@pytest.fixture
def events(tmp_path: Path) -> pd.DataFrame:
    return pd.read_csv(write_histories(tmp_path / "h.csv", users=FILES * USERS))


@pytest.fixture
def batch(tmp_path: Path, events: pd.DataFrame) -> Batch:
    write_partitions(tmp_path / "in", events)
    return Batch(str(tmp_path / "in"), str(tmp_path / "out"), k=5)


def do_all(model: Recommender, batch: Batch) -> list[str]:
    names = left_to_do(batch, partitions_of(batch.source), model.fingerprint)
    done = [do_partition(model, batch, name) for name in names]
    assert not any(each.error for each in done), done
    return names


def test_the_results_are_those_of_one_call_and_are_made_once(
    model: Recommender, batch: Batch, events: pd.DataFrame
) -> None:
    assert partitions_of(batch.source) == ["part=0/0.parquet", "part=0/2.parquet", "part=1/1.parquet"]
    assert len(do_all(model, batch)) == FILES
    found = pd.concat(
        pq.ParquetFile(Path(batch.target, name)).read().to_pandas() for name in partitions_of(batch.source)
    )
    whole = model.recommend_batch(events, k=5)
    assert list(found) == list(whole)
    order = ["user_id", "rank"]
    pd.testing.assert_frame_equal(
        found.sort_values(order, ignore_index=True), whole.sort_values(order, ignore_index=True), check_dtype=False
    )
    assert do_all(model, batch) == []
    Path(batch.target, "part=1/1.parquet").unlink()
    Path(batch.target, "part=0/0.parquet").write_bytes(b"cut short")
    assert do_all(model, batch) == ["part=0/0.parquet", "part=1/1.parquet"]
    with pytest.raises(ValueError, match=r"0\.parquet was made with another k: 5; now it is 6\. Give another --out"):
        left_to_do(replace(batch, k=6), ["part=0/0.parquet"], model.fingerprint)
    events[:9].to_parquet(Path(batch.source, "part=0/0.parquet"))
    with pytest.raises(ValueError, match=r"was made with another size"):
        left_to_do(batch, ["part=0/0.parquet"], model.fingerprint)


def test_a_row_may_be_a_user_with_lists(model: Recommender, batch: Batch, events: pd.DataFrame, tmp_path: Path) -> None:
    events = events.astype({"behavior": object}).where(events.notna(), None)
    lists = events.groupby("user_id", sort=False).agg(list).reset_index()
    (tmp_path / "lists").mkdir()
    lists.to_parquet(tmp_path / "lists" / "a.parquet")
    given = replace(batch, source=str(tmp_path / "lists"))
    assert do_all(model, given) == ["a.parquet"]
    whole = model.recommend_batch(events, k=5)
    found = pq.ParquetFile(Path(batch.target, "a.parquet")).read().to_pandas()
    pd.testing.assert_frame_equal(found, whole, check_dtype=False)
    lists.loc[0, "rating"].pop()
    lists.to_parquet(tmp_path / "lists" / "b.parquet")
    error = do_partition(model, given, "b.parquet").error
    assert "b.parquet: the lists of rating must be as long as those of item_id in every row." in error


def test_vectors_of_users_and_items_give_the_scores(model: Recommender, batch: Batch, events: pd.DataFrame) -> None:
    vectors = replace(batch, kind=VECTORS)
    do_all(model, vectors)
    write_item_vectors(model, vectors)
    items = pq.ParquetFile(Path(batch.target, "items.parquet")).read()
    files = [pq.ParquetFile(Path(batch.target, "users", name)).read() for name in partitions_of(batch.source)]
    users = pa.concat_tables([table.replace_schema_metadata() for table in files]).to_pandas().set_index("user_id")
    table = np.stack(items["vector"].to_numpy(zero_copy_only=False))
    assert items["item"].to_pylist() == model.served.items.tokens[1:] and len(users) == FILES * USERS
    histories = model.read_table(events)
    wanted = model.scores_of(model.interest(list(histories.values())))[:, 1:]
    scores = np.stack([users.loc[user, "vector"] for user in histories]) @ table.T
    torch.testing.assert_close(torch.from_numpy(scores), wanted, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_read_is_said(model: Recommender, tmp_path: Path, events: pd.DataFrame) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"empty holds no file that ends in \.parquet or \.pq\.$"):
        partitions_of(str(empty))
    events.drop(columns="user_id").to_parquet(tmp_path / "x.parquet")
    done = do_partition(model, Batch(str(tmp_path / "x.parquet"), str(tmp_path / "out")), "x.parquet")
    assert "x.parquet has no column user_id; its columns are item_id, rating, behavior, timestamp." in done.error
    with pytest.raises(ValueError, match=r"^nowhere://x cannot be opened: .* Give a path, or a URL of pyarrow"):
        open_storage("nowhere://x")


def test_other_storage_than_folders(model: Recommender, batch: Batch) -> None:
    given = replace(batch, target="memory://results")
    assert len(do_all(model, given)) == FILES and do_all(model, given) == []
    system, root = open_storage(given.target)
    assert system.get_file_info(f"{root}/part=1/1.parquet").size > 0
