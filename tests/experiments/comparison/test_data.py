"""The same data for every model, or a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbole_longinterest.experiments.comparison import data
from recbole_longinterest.experiments.comparison.cell import Cell
from tests.conftest import synthetic_inter


def print_of(cell: Cell) -> data.Fingerprint:
    dataset = data.make_dataset(cell.config(), cell.change)
    return data.fingerprint(dataset, dataset.build())


def test_every_model_is_given_the_same_rows(cell: Callable[..., Cell]) -> None:
    inter = "".join(
        line + "\n" for line in synthetic_inter().splitlines() if "\ti7\t" not in line
    )  # i7 has a text only
    own = print_of(cell("LongInterest", inter=inter))
    assert own.items == 19
    for name in ("GRU4Rec", "SASRecF", "Pop", "SASRec+text", "GRU4Rec@3"):
        assert print_of(cell(name, inter=inter)) == own, name


def test_files_of_vectors_are_inputs_too(cell: Callable[..., Cell], tmp_path: Path) -> None:
    (tmp_path / "v.npy").write_bytes(b"1")
    (tmp_path / "v.txt").write_text("i1\n")
    with_vectors = cell("LongInterest", text_vectors=str(tmp_path / "v.npy")).config()
    assert {"v.npy", "v.txt", "tiny.inter", "tiny.item"} == set(data.file_hashes(with_vectors))


def test_the_file_of_users_is_an_input_where_it_is_read(cell: Callable[..., Cell]) -> None:
    config = cell("LongInterest").config()
    (Path(config["data_path"]) / "tiny.user").write_text("user_id:token\tage:float\nu1\t20\n")
    assert "tiny.user" not in data.file_hashes(config)
    config["user_features"] = ["age"]
    assert "tiny.user" in data.file_hashes(config)


def test_another_order_is_refused(cell: Callable[..., Cell]) -> None:
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    lines += [f"u{user}\ti{(user * 7 + 5 * k) % 20}\t1\t{10**9 + 9 - k}" for user in range(9) for k in range(9)]
    exact = print_of(cell("LongInterest", inter="\n".join(lines) + "\n"))
    coarse = print_of(cell("GRU4Rec", inter="\n".join(lines) + "\n", exact_order=False))
    with pytest.raises(data.DataMismatch, match=r"GRU4Rec has other data .* on tiny: split is .* leave GRU4Rec out"):
        exact.check(coarse, "tiny", "GRU4Rec")


def test_a_model_that_reads_features_is_refused(cell: Callable[..., Cell]) -> None:
    with pytest.raises(ValueError, match="FM is neither a general nor a sequential model"):
        print_of(cell("FM"))


@pytest.mark.parametrize("model", ["BPR", "LightGCN", "EASE"])
def test_a_general_model_is_given_the_same_rows(cell: Callable[..., Cell], model: str) -> None:
    assert print_of(cell(model)) == print_of(cell("LongInterest"))


def test_random_text_has_the_size_and_spread_of_the_real_and_nothing_else(cell: Callable[..., Cell]) -> None:
    real = data.make_dataset(cell("LongInterest").config()).text_source.matrix()
    drawn = data.make_dataset(cell("LongInterest").config(), "random text").text_source.matrix()
    assert torch.equal(drawn.present, real.present) and not drawn.vectors[~drawn.present].any()
    assert drawn.vectors.std().item() == pytest.approx(real.vectors.std().item(), rel=0.3)
    products = (drawn.vectors @ drawn.vectors.T)[1:, 1:].flatten().numpy()
    expected = (real.vectors @ real.vectors.T)[1:, 1:].flatten().numpy()
    off = ~np.eye(len(real.vectors) - 1, dtype=bool).flatten()
    assert abs(np.corrcoef(products[off], expected[off])[0, 1]) < 0.3


def test_shuffled_ratings_move_and_nothing_else_does(cell: Callable[..., Cell]) -> None:
    def log(change: str) -> Any:
        return data.make_dataset(cell("LongInterest").config(), change).build()[0].event_log

    real, shuffled = log(""), log("shuffled rating")
    assert torch.equal(real["item_id_list"], shuffled["item_id_list"])
    assert not torch.equal(real["rating_list"], shuffled["rating_list"])
    assert torch.equal(real["rating_list"].sort().values, shuffled["rating_list"].sort().values)
    with pytest.raises(ValueError, match="tiny has no rating to shuffle"):
        plain = cell("LongInterest", inter=synthetic_inter(rating=False))
        data.make_dataset(plain.config(), "shuffled rating")
