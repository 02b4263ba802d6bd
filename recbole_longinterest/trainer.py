"""RecBole's trainer for LongInterest."""

from typing import Any

from recbole.trainer.trainer import Trainer

from recbole_longinterest import distributed


class LongInterestTrainer(Trainer):
    """RecBole's Trainer that has the texts encoded before the first epoch and deals batches by epoch number."""

    def fit(self, train_data: Any, *args: Any, **kwargs: Any) -> tuple[float, dict[str, float] | None]:  # noqa: ANN401
        """Train; see :meth:`recbole.trainer.Trainer.fit`."""
        if self.config["local_rank"] == 0:
            self.model.prepare()
        distributed.wait_for_all(self.config)
        self.model.prepare()  # the other ranks, who find the texts in the cache
        return super().fit(train_data, *args, **kwargs)

    def _train_epoch(self, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if hasattr(train_data.sampler, "set_epoch"):  # so that a resumed run sees the batches an unbroken one does
            train_data.sampler.set_epoch(epoch_idx)
        return super()._train_epoch(train_data, epoch_idx, *args, **kwargs)
