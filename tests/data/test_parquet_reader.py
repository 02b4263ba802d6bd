"""A Parquet data set is the data set of the equal text file: tables, order, batches, metrics; bad files say why."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.utils import init_seed

from recbole_longinterest.cli import main
from recbole_longinterest.common import parquet_events
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.runs.dataset_cache import _files
from recbole_longinterest.prepare.prepare_data import prepare_data
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.forget.lines import user_files
from recbole_longinterest.training.settings import make_config

TINY: dict[str, Any] = {
    **{"embedding_size": 8, "hidden_size": 8, "epochs": 1, "train_batch_size": 64, "state": "ERROR"},
    **{"show_progress": False, "train_neg_sample_args": None, "user_inter_num_interval": "[0,inf)"},
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same raw file prepared in both formats: missing ratings and behaviours, fractions of seconds, odd ids."""
    folder = tmp_path_factory.mktemp("both")
    rng = np.random.default_rng(0)
    lines, items = ["u,i,r,t,b"], ["NaN", "7", "ï", "007", "x%41", *(f"i{n}" for n in range(20))]
    for user in rng.permutation(np.repeat(np.arange(30), 12)):
        rating, behavior = rng.choice(["1", "2.5", "0.1", ""]), rng.choice(["view", "buy", ""])
        moment = 1_700_000_000 + rng.integers(40) / 8
        lines.append(f"u {user},{rng.choice(items)},{rating},{moment},{behavior}")
    (folder / "raw.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["prepare", "csv", str(folder / "raw.csv"), "--user", "u", "--item", "i", "--rating", "r", "--time", "t"]
    words += ["--behavior", "b", "--name", "shop", "--quiet", "--missing-values", ""]
    for form in ("inter", "parquet"):
        assert main.main([*words, "--output", str(folder / form), "--format", form]) == 0
    return {form: str(folder / form) for form in ("inter", "parquet")}


def made(root: str, model: str, **settings: Any) -> Any:
    return make_config(model, "shop", config_dict={**TINY, "data_path": root, **settings})


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("LongInterest", {"target_behavior": "buy", "normalize_all": True}),
        ("LongInterest", {"tie_order": "random", "behavior_map": {"view": "seen"}}),
        ("GRU4Rec", {"one_pass": True, "exact_order": True}),
        ("GRU4Rec", {}),  # RecBole's own data set
        ("BPR", {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}, "strict_keys": False}),
    ],
)
def test_ids_order_and_batches_are_those_of_the_text_file(
    roots: dict[str, str], model: str, settings: dict[str, Any]
) -> None:
    text, parquet = (create_dataset(made(roots[form], model, **settings)) for form in ("inter", "parquet"))
    assert text.field2type == parquet.field2type
    for field, tokens in text.field2id_token.items():
        assert tokens.tolist() == parquet.field2id_token[field].tolist()
    assert list(text.inter_feat) == list(parquet.inter_feat)
    for field in text.inter_feat:
        assert np.array_equal(text.inter_feat[field], parquet.inter_feat[field], equal_nan=True), field
    batches = []
    for data in (text, parquet):
        init_seed(data.config["seed"], reproducibility=True)
        batches.append([next(iter(loader)) for loader in data_preparation(data.config, data)])
    for ours, theirs in zip(*batches, strict=True):
        for left, right in zip(_fields(ours), _fields(theirs), strict=True):
            assert left[0] == right[0] and torch.equal(torch.nan_to_num(left[1]), torch.nan_to_num(right[1]))


def _fields(batch: Any) -> list[tuple[str, torch.Tensor]]:
    return sorted((batch if hasattr(batch, "interaction") else batch[0]).interaction.items())


def test_a_run_has_the_metrics_of_the_text_file(roots: dict[str, str], tmp_path: Path) -> None:
    results = [
        pipeline.run(made(root, "LongInterest", checkpoint_dir=str(tmp_path / form))) for form, root in roots.items()
    ]
    assert results[0].test_result and results[0].test_result == results[1].test_result


def test_the_file_has_typed_columns_and_the_cache_knows_it(roots: dict[str, str]) -> None:
    file = Path(roots["parquet"], "shop", "shop.inter.parquet")
    assert not file.with_name("shop.inter").exists()
    schema = pq.read_schema(file)
    assert schema.names == ["user_id", "item_id", "rating", "timestamp", "behavior"]
    assert parquet_events.read_parquet_header(file) == [
        *(
            ("user_id", "token"),
            ("item_id", "token"),
            ("rating", "float"),
            ("timestamp", "float"),
            ("behavior", "token"),
        )
    ]
    assert file in _files(made(roots["parquet"], "LongInterest"))


GOOD: dict[str, Any] = {"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"item_id": None}, "has no column item_id; its columns are user_id, timestamp"),
        ({"user_id": [1, 2]}, "the column user_id holds numbers. Write it as strings"),
        ({"timestamp": ["1", "2"]}, "the column timestamp holds strings. Write it as seconds"),
        ({"timestamp": pa.array([1, 2], pa.timestamp("ms"))}, r"timestamp holds timestamp\[ms\]. Columns must hold"),
        ({"user_id": ["a", None]}, "1 of 2 rows have no user_id, the first is row 2"),
        ({"item_id": ["", "y"]}, "1 of 2 rows have no item_id, the first is row 1"),
        ({"timestamp": [1.0, float("nan")]}, "1 of 2 rows have no timestamp, the first is row 2"),
        ({"rating": [1.0, float("inf")]}, "row 2 has inf as rating. Leave it empty"),
        ({"timestamp": pa.array([2**60 + 1, 1])}, "is not a Parquet file that can be read: Integer value"),
    ],
)
@pytest.mark.parametrize("model", ["LongInterest", "BPR"])
def test_a_bad_file_says_why(model: str, columns: dict[str, Any], match: str, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    table = {name: values for name, values in {**GOOD, **columns}.items() if values is not None}
    pq.write_table(pa.table(table), folder / "shop.inter.parquet")
    columns_read = {"inter": ["user_id", "item_id", "rating", "timestamp"]}
    config = made(str(tmp_path), model, load_col=columns_read, strict_keys=False)
    with pytest.raises(LongInterestError, match=match):
        create_dataset(config)


def test_a_truncated_file_and_two_files_say_why(roots: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    whole = Path(roots["parquet"], "shop", "shop.inter.parquet").read_bytes()
    for content in (whole[:-100], b""):
        (folder / "shop.inter.parquet").write_bytes(content)
        with pytest.raises(LongInterestError, match=r"is not a Parquet file that can be read: .* Prepare it again"):
            create_dataset(made(str(tmp_path), "LongInterest"))
    (folder / "shop.inter").touch()
    with pytest.raises(LongInterestError, match=r"has shop.inter and shop.inter.parquet. Delete the one"):
        create_dataset(made(str(tmp_path), "GRU4Rec"))


def test_users_cannot_be_forgotten_in_it(roots: dict[str, str]) -> None:
    """To copy it unchanged would keep them."""
    with pytest.raises(LongInterestError, match=r"Forgetting users needs shop\.inter, but .* --format inter"):
        user_files(Path(roots["parquet"], "shop"), "shop", made(roots["parquet"], "LongInterest"))


def test_two_columns_of_a_name(tmp_path: Path) -> None:
    file = tmp_path / "shop.inter.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["user_id", "user_id"]), file)
    with pytest.raises(LongInterestError, match="has two columns named user_id"):
        parquet_events.read_parquet_header(file)


def test_another_format_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "raw.csv").write_text("u,i\na,x\n")
    with pytest.raises(LongInterestError, match="format must be one of inter, parquet; got 'orc'"):
        prepare_data("csv", paths=["raw.csv"], user="u", item="i", order="file", name="shop", format="orc")


def test_prepare_replaces_one_format_by_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw.csv").write_text("u,i,t\na,x,1\na,y,2\nb,x,1.0005\n")
    words = ["prepare", "csv", "raw.csv", "--user", "u", "--item", "i", "--time", "t", "--name", "shop", "--quiet"]

    def prepare(*more: str) -> int:
        return main.main([*words, "--output", "out", *more])

    assert prepare() == 0
    assert prepare("--format", "parquet") == 2 and "shop.inter already exists" in capsys.readouterr().err
    assert prepare("--format", "parquet", "--overwrite") == 0
    assert not (tmp_path / "out/shop/shop.inter").exists()
    table = pq.read_table(tmp_path / "out/shop/shop.inter.parquet")
    assert table["timestamp"].to_pylist() == [1.0, 2.0, 1.0005] and table["user_id"].to_pylist() == ["a", "a", "b"]
    assert prepare("--overwrite") == 0 and not (tmp_path / "out/shop/shop.inter.parquet").exists()


def test_columns_beyond_a_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dictionaries of row groups are joined, plain strings are encoded."""
    from recbole_longinterest.common import token_codes
    from recbole_longinterest.data.parquet_reader import read_parquet

    monkeypatch.setattr(token_codes, "WAITING", 3)
    names = [f"u{n % 7}" for n in range(50)]
    for kind in (pa.string(), pa.dictionary(pa.int8(), pa.string())):
        pq.write_table(
            pa.table({"user_id": pa.array(names).cast(kind)}), tmp_path / "a.inter.parquet", row_group_size=4
        )
        table = read_parquet(str(tmp_path / "a.inter.parquet"), [("user_id", "token")], ["user_id"])
        assert table["user_id"].tolist() == names
        assert table["user_id"].cat.categories.tolist() == [f"u{n}" for n in range(7)]


def test_a_failed_write_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(writer: pq.ParquetWriter, *args: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "raw.csv").write_text("u,i,t\na,x,1\na,y,2\n")
    monkeypatch.setattr(pq.ParquetWriter, "write_table", fill_the_disk)
    words = ["prepare", "csv", "raw.csv", "--user", "u", "--item", "i", "--time", "t", "--name", "shop", "--quiet"]
    assert main.main([*words, "--output", "out", "--format", "parquet"]) == 2
    assert "No file of the new data set remains there" in capsys.readouterr().err
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == []
