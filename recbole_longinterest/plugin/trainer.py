"""RecBole's trainer over windows, and for LongInterest."""

from collections.abc import Callable
from typing import Any

from recbole.data.interaction import Interaction
from recbole.trainer.trainer import Trainer

from recbole_longinterest.data.train_loader import LOSS_WEIGHT, OnePassDataLoader
from recbole_longinterest.plugin.one_pass import OnePassLoss
from recbole_longinterest.plugin.runs import ranks
from recbole_longinterest.plugin.runs.averaging import averaged_epoch


class LongInterestTrainer(Trainer):
    """RecBole's Trainer that has the texts encoded before the first epoch."""

    def fit(self, train_data: Any, *args: Any, **kwargs: Any) -> tuple[float, dict[str, float] | None]:  # noqa: ANN401
        """Train; see :meth:`recbole.trainer.Trainer.fit`."""
        if self.config["local_rank"] == 0:
            self.model.prepare()
        ranks.wait_for_all(self.config)
        self.model.prepare()  # the other ranks, who find the texts in the cache
        return super().fit(train_data, *args, **kwargs)


def train_on_windows(train_epoch: Callable[..., Any]) -> Callable[..., Any]:
    """``Trainer._train_epoch`` for one-pass batches too: dealt by epoch number, every position's target in the loss.

    Where ``weight_averaging`` is set, the model holds the averages afterwards.

    Args:
        train_epoch: RecBole's.

    Returns:
        Its replacement.
    """

    def _train_epoch(
        self: Trainer,
        train_data: Any,  # noqa: ANN401
        epoch_idx: int,
        loss_func: Callable[[Interaction], Any] | None = None,
        show_progress: bool = False,
    ) -> Any:  # noqa: ANN401
        if isinstance(train_data, OnePassDataLoader):
            train_data.sampler.set_epoch(epoch_idx)  # so that a resumed run sees the batches an unbroken one does
            loss_func = loss_func or _window_loss(self, train_data)
        with averaged_epoch(self):
            return train_epoch(self, train_data, epoch_idx, loss_func, show_progress)

    return _train_epoch


def _window_loss(trainer: Trainer, train_data: OnePassDataLoader) -> Callable[[Interaction], Any]:
    """The loss over a batch of windows, weighted so that with several ranks every target counts the same."""
    loss: Callable[[Interaction], Any] = trainer.model.calculate_loss
    if not getattr(trainer.model, "reads_windows", False):
        if not hasattr(trainer, "one_pass_loss"):
            trainer.one_pass_loss = OnePassLoss(trainer.model, train_data.target_list_field, train_data.probe())
        loss = trainer.one_pass_loss

    def weighted(interaction: Interaction) -> Any:  # noqa: ANN401
        if LOSS_WEIGHT not in interaction:
            return loss(interaction)
        weight = interaction[LOSS_WEIGHT].squeeze()
        losses = loss(Interaction({f: v for f, v in interaction.interaction.items() if f != LOSS_WEIGHT}))
        return tuple(part * weight for part in losses) if isinstance(losses, tuple) else losses * weight

    return weighted
