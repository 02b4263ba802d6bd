"""The flat log with the events' exact times, for models that read the time between events."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.nn.options import read_switch

EVENT_TIME = "event_time"  # with RecBole's LIST_SUFFIX, the history field of exact times
REQUEST_TIME = "request_time"  # field of a batch: the exact time of the target, only if the setting of this name is on


class HSTUDataset(FlatSequentialDataset):
    """The flat log with a history field ``event_time_list``: the times in the file, float64 [B, L], 0 for padding.

    RecBole's own times are float32, so Unix times are rounded to steps of 64 or 128 seconds, and ``normalize_all``
    scales them to 0..1.
    """

    @property
    def request_fields(self) -> Mapping[str, str]:
        """The target's time if ``request_time`` is on, else nothing."""
        asked = read_switch(self.config, REQUEST_TIME, False)
        return {REQUEST_TIME: EVENT_TIME + self.config["LIST_SUFFIX"]} if asked else {}

    def _derived_log_fields(self, first: np.ndarray) -> dict[str, Tensor]:
        return {EVENT_TIME + self.config["LIST_SUFFIX"]: torch.from_numpy(self._exact_time.copy())}
