"""A comparison's cell on a small data set, run in this process."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.experiments.comparison.cell import FINISHED, RANKS, Cell, rows_file
from recbole_longinterest.experiments.comparison.cells import run_cell
from recbole_longinterest.experiments.comparison.variants import settings_of, variant_of
from tests.conftest import FakeEncoder, synthetic_inter, synthetic_item

SMALL = {"epochs": 1, "state": "WARNING", "train_batch_size": 64, "embedding_size": 8, "hidden_size": 8}


@pytest.fixture
def cell(write_dataset: Callable[..., Path], fake_encoder: FakeEncoder, tmp_path: Path) -> Callable[..., Cell]:
    """Make a cell of a row on a small synthetic data set; keywords are settings of every run."""

    def make(name: str, seed: int = 1, run: bool = False, inter: str | None = None, **settings: Any) -> Cell:
        root = write_dataset("tiny", inter or synthetic_inter(), synthetic_item())
        text = {"text_fields": ["title", "class"], "text_dim": 4}
        variant = variant_of(name)
        given, source = settings_of(variant, "tiny", {**SMALL, **text, "data_path": str(root), **settings})
        made = Cell(
            "tiny", name, variant.model, seed, given, variant.change, source, variant.kind, tmp_path / "comparison"
        )
        if run:
            made.folder.mkdir(parents=True, exist_ok=True)
            run_cell(made)
        return made

    return make


Made = Callable[..., Cell]
BEYOND = ("itemcoverage", "giniindex", "averagepopularity", "tailpercentage")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Write a finished cell without training: ranks, and what a result says of them.

    Ranks may be given by protocol; ``validation`` has the score of each protocol, and None is none at all.
    """

    def make(
        name: str,
        seed: int = 1,
        ranks: Sequence[float] | dict[str, Sequence[float]] = (),
        validation: float | dict[str, float] | None = 0.1,
        users: Sequence[str] | None = None,
        split: str = "a" * 20,
        dataset: str = "tiny",
        cold: Sequence[int] = (),
        protocol: str = "",
        **more: Any,
    ) -> Cell:
        variant = variant_of(name) if not name.startswith("LongInterest, ") else None
        kind, model = ("ablation", "LongInterest") if variant is None else (variant.kind, variant.model)
        by = ranks if isinstance(ranks, dict) else {"native": ranks, "seen-masked": ranks}
        number = len(by["native"])
        settings = {"n": split, **({"for": protocol} if protocol else {})}
        output = tmp_path / "comparison"
        cell = Cell(dataset, name, model, seed, settings, "", "tuned", kind, output, protocol=protocol)
        cell.folder.mkdir(parents=True, exist_ok=True)
        rows = pd.DataFrame(
            {
                "user": list(users or [f"u{user:04}" for user in range(number)]),
                "history": np.arange(number) % 30 + 1,
                "item": [f"i{row}" for row in range(number)],
                "time": 0.0,
                "train_events": 1,
                "repeat": np.arange(number) % 2 == 0,
                "cold": np.isin(np.arange(number), cold),
                "popularity": np.where(np.isin(np.arange(number), cold), "cold", "head"),
                "drift": np.nan,
            }
        )
        among = np.where(rows["cold"], 1.0, np.nan)
        data = {"users": number, "items": 9, "interactions": 99, "rows": [9, 9, number], "split": split}
        file = rows_file(cell, data)
        if not file.is_file():
            rows.to_parquet(file, index=False)
        table = rows[["user", "history", "item"]].assign(**by, among_cold=among, among_cold_masked=among, tied=False)
        table.to_parquet(cell.folder / RANKS, index=False)
        scores = validation if isinstance(validation, dict) or validation is None else dict.fromkeys(by, validation)
        metrics = {
            protocol: {
                "ndcg@10": float(np.mean(np.where(np.array(values) <= 10, 1 / np.log2(np.array(values) + 1), 0))),
                "recall@10": float((np.array(values) <= 10).mean()),
                "mrr@10": 0.1,
                **{f"{property_}@10": 0.5 + seed / 100 for property_ in BEYOND},
            }
            for protocol, values in by.items()
        }
        result: dict[str, Any] = {
            "metrics": metrics,
            "errors": {protocol: {f"{each}@10": 0.02 for each in BEYOND} for protocol in by},
            "train_seconds": 3.0,
            "peak_memory_mb": 100.0,
            "parameters": 7,
            "epochs": 5,
            "tie_share": 0.0,
            "candidates": None,
            "data": data,
            "manifest": {
                "config": {"eval_args": {"mode": {"test": "full"}, "split": "LS"}},
                **{"versions": {}, "files": {}, "commit": "c"},
            },
        }
        if scores is not None:
            chosen = {each: {"metric": "ndcg@10", "score": score, "epoch": 2} for each, score in scores.items()}
            result |= {"validation": {"metric": "NDCG@10", "score": scores["native"]}, "choices": chosen}
        cell.end(FINISHED, **{**result, **more})
        return cell

    return make
