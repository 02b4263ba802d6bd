"""Show the progress of a running search, and record the outcome of its trials."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from recbole_longinterest.common.notebook import Bar, progress_bar
from recbole_longinterest.experiments.tuning import records

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


class Watch(Callback):
    """Records the outcome of trials and shows the progress of the search."""

    def __init__(self, output: Path, bigger: bool, metric: str, total: int, show: bool) -> None:
        self.output, self.bigger, self.metric, self.total, self.show = output, bigger, metric, total, show
        self.bar: Bar | None = None

    def __enter__(self) -> "Watch":
        self.bar = progress_bar(total=self.total, unit="trial", disable=not self.show, desc="search")
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        self._show()
        if self.bar is not None:
            self.bar.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "bar": None}

    def on_trial_result(
        self, iteration: int, trials: "list[Trial]", trial: "Trial", result: object, **info: object
    ) -> None:
        """Update the progress after an epoch."""
        self._show()

    def on_trial_complete(self, iteration: int, trials: "list[Trial]", trial: "Trial", **info: object) -> None:
        """Record a trial that finished or was stopped early."""
        records.end(
            records.folder_of(self.output, trial.config["setting"]), records.STOPPED
        )  # no effect if the trial has recorded that it finished
        self._show()
        records.prune(records.read_trials(self.output, self.bigger))

    def on_trial_error(self, iteration: int, trials: "list[Trial]", trial: "Trial", **info: object) -> None:
        """Record a failed trial."""
        folder = records.folder_of(self.output, trial.config["setting"])
        if not folder.is_dir():  # the worker died before it wrote anything
            records.begin(folder, trial.config["setting"], "")
        records.end(folder, records.ERROR, _reason(trial))
        self._show()

    def _show(self) -> None:
        if self.bar is None:
            return
        trials = records.read_trials(self.output, self.bigger)
        self.bar.n = sum(trial.status != records.UNFINISHED for trial in trials)
        best = trials[0].best if trials else None
        failed = sum(trial.status == records.ERROR for trial in trials)
        self.bar.set_postfix_str(
            (f"best validation {self.metric} {best['valid_score']:.4f}" if best else "no epoch yet")
            + (f", {failed} failed" if failed else "")
        )


def _reason(trial: "Trial") -> str:
    """Reason why a worker died, from Ray's message."""
    file = trial.error_file
    text = Path(file).read_text(encoding="utf-8", errors="replace") if file and Path(file).is_file() else ""
    if "OutOfMemory" in text or "out of memory" in text.lower():
        return "killed because the machine ran out of memory. Lower --max-concurrent."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"its worker died: {lines[-1][:300]}" if lines else "its worker died"
