"""One-pass training of RecBole's own causal models, unmodified.

Their losses call ``gather_indexes(output, item_seq_len - 1)``, which selects only the last position. If the output at a
position depends on events up to it only, selecting every position with a target gives the loss over all prefix rows at
once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.train_loader import LOSS_WEIGHT, OnePassDataLoader
from recbole_longinterest.plugin.runs.averaging import averaged_epoch

if TYPE_CHECKING:
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.model.abstract_recommender import SequentialRecommender
    from recbole.trainer.trainer import Trainer

Losses: TypeAlias = Tensor | tuple[Tensor, ...]  # RecBole sums a tuple, and logs its parts

PROBE_WINDOWS, PROBE_POSITIONS = 4, 8
TOLERANCE = 1e-4  # relative; float32 sums in another order


class OnePassLoss:
    """The loss of a RecBole model over windows with a target at every position.

    A call runs ``model.calculate_loss`` with a ``gather_indexes`` that selects all counted positions, and with their
    targets in the target field.

    Args:
        model: a :class:`~recbole.model.abstract_recommender.SequentialRecommender` trained with cross entropy.
        target_list_field: field of a batch with each position's target, int64 [B, L], 0 for positions not counted.
        probe: a batch of the loader; the constructor checks the model on a small part of it.

    Raises:
        ValueError: if the model is not causal, or its loss uses anything but the gathered outputs. An error that the
            model also raises for prefix rows passes through.
    """

    def __init__(self, model: "SequentialRecommender", target_list_field: str, probe: Interaction) -> None:
        self.model = model
        self.target_list_field = target_list_field
        self._check(_small_part(probe.to(model.device), model, target_list_field))

    def __call__(self, interaction: Interaction) -> Losses:
        """Mean loss over the batch's targets, equal to the model's own ``calculate_loss`` on prefix rows."""
        target_seq = interaction[self.target_list_field]  # [B, L]
        counted = target_seq > 0
        batch = {field: value for field, value in interaction.interaction.items() if field != self.target_list_field}
        batch[self.model.POS_ITEM_ID] = target_seq[counted]  # [T]
        with _gathering(self.model, lambda output, index: output[counted]):
            return self.model.calculate_loss(Interaction(batch))

    @torch.no_grad()
    def _check(self, window: Interaction) -> None:
        training = self.model.training
        self.model.eval()  # dropout off
        try:
            with torch.random.fork_rng(devices=[]):  # the check must not change the training's random numbers
                self._compare(window)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if self._fails_on_rows(window, error):
                raise  # an error in the model's code, whichever way it trains
            reason = " ".join(str(error).split()).rstrip(".")
            if isinstance(error, KeyError):
                reason = f"it reads {reason}, which windows do not have"
            raise LongInterestError(
                f"{type(self.model).__name__} cannot train in one pass: {reason}. "
                "Its output at a position must depend only on events up to it, and be read by gather_indexes. "
                "Set one_pass: False."
            ) from error
        finally:
            self.model.train(training)

    def _compare(self, window: Interaction) -> None:
        """Compare one pass with prefix rows, and check causality by changing each position.

        Raises:
            ValueError: if there is a difference. Errors of a model that cannot read windows also pass through.
        """
        outputs = self._outputs(window)
        for position in range(1, window[self.model.ITEM_SEQ].shape[1]):
            changed = window[self.model.ITEM_SEQ].clone()
            changed[:, position] = changed[:, position] % (self.model.n_items - 1) + 1
            others = self._outputs(Interaction({**window.interaction, self.model.ITEM_SEQ: changed}))
            for output, other in zip(outputs, others, strict=True):
                if not torch.allclose(output[:, :position], other[:, :position], rtol=1e-4, atol=1e-6):
                    raise LongInterestError(f"its output before position {position} changes with the event there")
        width = min(self.model.max_seq_length, 2 * PROBE_POSITIONS)
        prefixes = self.model.calculate_loss(prefix_rows(window, self.model, self.target_list_field, width))
        expected, got = _total(prefixes), _total(self(window))
        if not torch.allclose(got, expected, rtol=TOLERANCE, atol=1e-6):
            raise LongInterestError(f"its loss over all positions is {got:.6f}, over the prefix rows {expected:.6f}")

    def _fails_on_rows(self, window: Interaction, error: Exception) -> bool:
        """Whether the model raises the same error for prefix rows. A missing field is no error of its own."""
        if isinstance(error, KeyError):
            return False
        try:
            self.model.calculate_loss(prefix_rows(window, self.model, self.target_list_field))
        except Exception as other:
            return repr(other) == repr(error)
        return False

    def _outputs(self, window: Interaction) -> list[Tensor]:
        """The tensors from which the model gathers, [B, L, H] each."""
        outputs: list[Tensor] = []
        target_seq = window[self.target_list_field]

        def gather(output: Tensor, index: Tensor) -> Tensor:
            if output.shape[:2] != target_seq.shape:
                raise LongInterestError(f"it gathers from {list(output.shape)}, not from [B, L, H]")
            outputs.append(output)
            return output[:, -1]

        last = {self.model.POS_ITEM_ID: target_seq[:, -1]}
        with _gathering(self.model, gather):
            self.model.calculate_loss(Interaction({**window.interaction, **last}))
        if not outputs:
            raise LongInterestError("its loss does not read the last output by gather_indexes")
        return outputs


def prefix_rows(
    window: Interaction, model: "SequentialRecommender", target_list_field: str, width: int | None = None
) -> Interaction:
    """Make RecBole's training rows from windows: one row for every counted position.

    Args:
        window: history fields [B, L], targets [B, L].
        model: the model, for its field names.
        target_list_field: field of the targets.
        width: length to pad the rows to, at least L; None for L.

    Returns:
        Fields [T, L or width] with zeros after each row's position, lengths [T], targets [T].
    """
    target_seq = window[target_list_field]
    row, position = (target_seq > 0).nonzero(as_tuple=True)
    outside = torch.arange(target_seq.shape[1], device=target_seq.device) > position.unsqueeze(1)  # [T, L]
    data = {}
    for field, value in window.interaction.items():
        if field in (target_list_field, model.ITEM_SEQ_LEN):
            continue
        data[field] = value[row]
        if value.dim() > 1:
            data[field][outside] = 0
            if width is not None:
                missing = value.new_zeros(len(row), width - value.shape[1], *value.shape[2:])
                data[field] = torch.cat([data[field], missing], dim=1)
    data[model.ITEM_SEQ_LEN] = position + 1
    data[model.POS_ITEM_ID] = target_seq[row, position]
    return Interaction(data)


@contextmanager
def _gathering(model: "SequentialRecommender", gather: Callable[[Tensor, Tensor], Tensor]) -> Iterator[None]:
    model.gather_indexes = gather  # hides the method of the class
    try:
        yield
    finally:
        del model.gather_indexes


def _small_part(batch: Interaction, model: "SequentialRecommender", target_list_field: str) -> Interaction:
    """Take a few short windows without padding and with a target at every position."""
    full = batch[model.ITEM_SEQ_LEN] >= min(PROBE_POSITIONS, int(batch[model.ITEM_SEQ_LEN].max()))
    rows = full.nonzero().flatten()[:PROBE_WINDOWS]
    length = min(PROBE_POSITIONS, int(batch[model.ITEM_SEQ_LEN][rows].min()))
    data = {
        field: value[rows, :length].clone() if value.dim() > 1 else value[rows]
        for field, value in batch.interaction.items()
    }
    data[model.ITEM_SEQ_LEN] = torch.full_like(rows, length)
    item_seq = data[model.ITEM_SEQ]
    # Targets that an earlier window counts are 0; the probe may use any item instead.
    data[target_list_field] = torch.where(data[target_list_field] > 0, data[target_list_field], item_seq)
    return Interaction(data)


def _total(losses: Tensor | tuple[Tensor, ...]) -> Tensor:
    return torch.stack([part.reshape(()) for part in losses]).sum() if isinstance(losses, tuple) else losses


def train_on_windows(train_epoch: Callable[..., Any]) -> Callable[..., Any]:
    """Extend ``Trainer._train_epoch`` to one-pass batches, shuffled by epoch number, with a loss over all positions.

    With ``weight_averaging``, the model holds the averages afterwards.

    Args:
        train_epoch: RecBole's method.

    Returns:
        The replacement.
    """

    def _train_epoch(
        self: "Trainer",
        train_data: "AbstractDataLoader",
        epoch_idx: int,
        loss_func: Callable[[Interaction], Any] | None = None,
        show_progress: bool = False,
    ) -> Any:  # noqa: ANN401
        if isinstance(train_data, OnePassDataLoader):
            train_data.sampler.set_epoch(epoch_idx)  # a resumed run sees the same batches
            loss_func = loss_func or _window_loss(self, train_data)
        with averaged_epoch(self):
            return train_epoch(self, train_data, epoch_idx, loss_func, show_progress)

    return _train_epoch


def _window_loss(trainer: "Trainer", train_data: OnePassDataLoader) -> Callable[[Interaction], Any]:
    """The loss over a batch of windows, weighted so that every target counts the same on all ranks."""
    loss: Callable[[Interaction], Any] = trainer.model.calculate_loss
    if not getattr(trainer.model, "reads_windows", False):
        if not hasattr(trainer, "one_pass_loss"):
            trainer.one_pass_loss = OnePassLoss(trainer.model, train_data.target_list_field, train_data.probe())
        loss = trainer.one_pass_loss

    def weighted(interaction: Interaction) -> Losses:
        if LOSS_WEIGHT not in interaction:
            return loss(interaction)
        weight = interaction[LOSS_WEIGHT].squeeze()
        losses = loss(Interaction({f: v for f, v in interaction.interaction.items() if f != LOSS_WEIGHT}))
        return tuple(part * weight for part in losses) if isinstance(losses, tuple) else losses * weight

    return weighted
