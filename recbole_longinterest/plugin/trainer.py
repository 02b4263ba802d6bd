"""RecBole's trainer for LongInterest."""

from typing import Any

from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.trainer.trainer import Trainer

from recbole_longinterest.plugin.runs import ranks
from recbole_longinterest.plugin.text_tuning import TextTuning, wants_tuning


class LongInterestTrainer(Trainer):
    """RecBole's Trainer, which encodes texts and counts transitions before the first epoch, and tunes the encoder."""

    def fit(
        self, train_data: AbstractDataLoader, *args: object, **kwargs: object
    ) -> tuple[float, dict[str, float] | None]:
        """Train; see :meth:`recbole.trainer.Trainer.fit`."""
        wanted = wants_tuning(self.config)
        if self.config["local_rank"] == 0:
            self.model.prepare()
        ranks.wait_for_all(self.config)
        self.model.prepare()  # the other ranks find the texts in the cache
        if wanted:
            self.text_tuning = TextTuning(self.config, self.model, train_data._dataset.text_source)
            self.text_optimizer = self.text_tuning.optimizer  # an optimizer of the trainer is saved with the run
        return super().fit(train_data, *args, **kwargs)

    def _train_epoch(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - RecBole's
        if not hasattr(self, "text_tuning"):
            return super()._train_epoch(*args, **kwargs)
        with self.text_tuning.epoch(self.optimizer):
            return super()._train_epoch(*args, **kwargs)
