"""New events and items for the small data set, and what an updated checkpoint holds."""

from pathlib import Path

import torch

from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.training.export import export_checkpoint
from tests.conftest import synthetic_item

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
LATER = 1_100_000_000  # after every event of synthetic_inter


def new_events(users: range, items: range, each: int = 4, at: int = LATER, rating: str = "4") -> str:
    rows = [
        f"u{user}\ti{items[(user + place) % len(items)]}\t{rating}\t{at + 1000 * user + place}\n"
        for user in users
        for place in range(each)
    ]
    return HEADER + "".join(rows)


def items_to(number: int, **changed: str) -> str:
    lines = synthetic_item(number).splitlines()
    return "\n".join(changed.get(line.split("\t")[0], line) for line in lines) + "\n"


def rows_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Item vectors of a checkpoint by token."""
    model = Recommender.load(exported(checkpoint))
    return dict(zip(model.served.items.tokens, model.items, strict=True))


def exported(checkpoint: Path) -> Path:
    folder = checkpoint.with_name(f"{checkpoint.stem}-model")
    if not folder.is_dir():
        export_checkpoint(checkpoint, folder)
    return folder
