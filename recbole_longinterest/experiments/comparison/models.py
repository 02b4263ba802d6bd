"""Models used only in comparisons: popularity, a Markov chain, and SASRec with item texts."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import recbole
import recbole.data.dataset
import torch
import yaml
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender.sasrec import SASRec
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.resources import resource
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.item_texts import ItemTexts, load_item_texts, why_no_text
from recbole_longinterest.data.item_vectors import ItemVectors
from recbole_longinterest.nn.sources import ItemTable
from recbole_longinterest.plugin.baselines.computed.base import ComputedRecommender


class PopularItems(ComputedRecommender):
    """Recommend the items with the most training events to every user, on the same rows as a sequential model.

    RecBole's Pop is not a sequential model: it has other rows and masks seen items.

    Args:
        config: RecBole's config.
        dataset: the training part, over the flat log.
    """

    def __init__(self, config: Settings, dataset: FlatSequentialDataset) -> None:
        super().__init__(config, dataset)
        self.register_buffer("count", dataset.training_events().double())

    def predict(self, interaction: Interaction) -> Tensor:
        """Score of the row's item, float32 [B]."""
        return self.count[interaction[self.ITEM_ID]].float()

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, [B, N]."""
        return self.count.repeat(len(interaction[self.ITEM_SEQ_LEN]), 1)


class LastItemMarkov(PopularItems):
    """Recommend the items that most often followed the user's last item in training, then by popularity.

    Attributes:
        first: index of each item's first follower, int64 [N + 1].
        follower: items that followed, int64 [F].
        times: number of times that each follower followed, [F].
    """

    def __init__(self, config: Settings, dataset: FlatSequentialDataset) -> None:
        super().__init__(config, dataset)
        items = dataset.event_log[dataset.item_seq_field]
        position = dataset.inter_feat.position.long()
        before, after = items[position - 1].long(), items[position].long()
        pair, times = torch.unique(before * self.n_items + after, return_counts=True)
        begin = torch.searchsorted(pair // self.n_items, torch.arange(self.n_items + 1))
        self.register_buffer("first", begin)
        self.register_buffer("follower", pair % self.n_items)
        self.register_buffer("times", times.double())

    def predict(self, interaction: Interaction) -> Tensor:
        """Score of the row's item, [B]."""
        return ComputedRecommender.predict(self, interaction)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, [B, N]: number of times that the item followed, plus its popularity scaled below 1."""
        scores = super().full_sort_predict(interaction) / (self.count.sum() + 1)
        last = interaction[self.ITEM_SEQ].gather(1, interaction[self.ITEM_SEQ_LEN].unsqueeze(1) - 1).squeeze(1)
        number = self.first[last + 1] - self.first[last]
        row = torch.repeat_interleave(torch.arange(len(last), device=last.device), number)
        place = torch.arange(len(row), device=row.device) - torch.repeat_interleave(number.cumsum(0) - number, number)
        place += torch.repeat_interleave(self.first[last], number)
        scores[row, self.follower[place]] += self.times[place]
        return scores


class TextItemEmbedding(nn.Module):
    """Sum of an ID embedding and a projected text vector, ``E[j] + A t_j``, as in LongInterest.

    Args:
        n_items: N, with the padding.
        size: size of a vector, D.
        text: the text vectors.
        text_dim: size of a text vector.
        scale: standard deviation of the initial embedding and projection.
    """

    def __init__(self, n_items: int, size: int, text: ItemTable, text_dim: int, scale: float) -> None:
        super().__init__()
        self.item = nn.Embedding(n_items, size, padding_idx=0)
        self.text = text
        self.projection = nn.Linear(text_dim, size, bias=False)
        nn.init.normal_(self.item.weight, std=scale)
        nn.init.normal_(self.projection.weight, std=scale)

    @property
    def weight(self) -> Tensor:
        """Vectors of all items, [N, D]."""
        self.text.fill()
        return self.item.weight + self.projection(self.text.vectors)

    def forward(self, item_seq: Tensor) -> Tensor:
        """Vectors of items, [..., D]."""
        return functional.embedding(item_seq, self.weight)


class SASRecText(SASRec):
    """RecBole's SASRec with the text vectors of LongInterest."""

    def __init__(self, config: Settings, dataset: Dataset) -> None:
        super().__init__(config, dataset)
        text = ItemTable(self.n_items, config["text_dim"], dataset.text_source)
        self.item_embedding = TextItemEmbedding(
            self.n_items, self.hidden_size, text, config["text_dim"], self.initializer_range
        )


class SASRecTextDataset(FlatSequentialDataset):
    """The flat log with item texts, for SASRecText.

    Raises:
        LongInterestError: if there are no texts.
    """

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        item_file = Path(self.dataset_path) / f"{self.dataset_name}.item"
        tokens = self.field2id_token[self.iid_field]
        self.text_source: ItemTexts | ItemVectors
        if config["text_vectors"]:
            self.text_source = ItemVectors.from_config(config, tokens, self._preloaded_weight)
            return
        no_text = why_no_text(config, item_file)
        if no_text is not None:
            raise LongInterestError(f"SASRec+text needs texts, and {self.dataset_name} has none: {no_text}")
        self.text_source = ItemTexts.from_config(config, load_item_texts(config, item_file, tokens))


def register() -> None:
    """Register these models for RecBole's look-ups in this process."""
    for model in (PopularItems, LastItemMarkov, SASRecText):
        module = ModuleType(f"recbole.model.sequential_recommender.{model.__name__.lower()}")
        module.__spec__ = sys.modules[__name__].__spec__
        module.__file__ = __file__
        setattr(module, model.__name__, model)
        sys.modules[module.__name__] = module
    recbole.data.dataset.SASRecTextDataset = SASRecTextDataset


def sasrec_text_settings() -> dict[str, Any]:
    """Defaults of SASRecText: RecBole's defaults of SASRec, and LongInterest's text options."""
    published = Path(recbole.__file__).parent / "properties" / "model" / "SASRec.yaml"
    text = yaml.safe_load(resource("properties", "LongInterest.yaml").read_text(encoding="utf-8"))
    return {
        **yaml.safe_load(published.read_text(encoding="utf-8")),
        **{name: value for name, value in text.items() if name.startswith("text_") and name != "text_features"},
    }
