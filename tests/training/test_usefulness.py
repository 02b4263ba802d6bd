"""On real data with real text vectors: the model uses what it reads."""

from pathlib import Path

import pytest
import torch
from recbole.data.utils import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from recbole_longinterest.training.settings import make_config


@pytest.mark.slow
@pytest.mark.integration
def test_permuted_text_rows_lower_validation_ndcg_on_every_seed(tmp_path: Path) -> None:
    """ml-100k, 3 epochs, 3 seeds: the trained model with its text rows permuted against itself."""
    drops = []
    for seed in range(3):
        settings = {"seed": seed, "epochs": 3, "show_progress": False, "state": "ERROR"}
        config = make_config("LongInterest", "ml-100k", config_dict=settings)
        init_seed(seed, True)
        train, valid, _ = data_preparation(config, create_dataset(config))
        model = get_model("LongInterest")(config, train._dataset)
        trainer = get_trainer(config["MODEL_TYPE"], "LongInterest")(config, model)
        trainer.fit(train, saved=False, verbose=False)
        before = trainer.evaluate(valid, load_best_model=False)["ndcg@10"]
        rows = 1 + torch.randperm(model.n_items - 1, generator=torch.Generator().manual_seed(seed))
        model.item_sources["text"].vectors[1:] = model.item_sources["text"].vectors[rows].clone()
        drops.append(before - trainer.evaluate(valid, load_best_model=False)["ndcg@10"])
    assert min(drops) > 0, drops
