"""RecBole's trainer for LongInterest."""

from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.trainer.trainer import Trainer

from recbole_longinterest.plugin.runs import ranks


class LongInterestTrainer(Trainer):
    """RecBole's Trainer, which encodes texts and counts transitions before the first epoch."""

    def fit(
        self, train_data: AbstractDataLoader, *args: object, **kwargs: object
    ) -> tuple[float, dict[str, float] | None]:
        """Train; see :meth:`recbole.trainer.Trainer.fit`."""
        if self.config["local_rank"] == 0:
            self.model.prepare()
        ranks.wait_for_all(self.config)
        self.model.prepare()  # the other ranks find the texts in the cache
        return super().fit(train_data, *args, **kwargs)
