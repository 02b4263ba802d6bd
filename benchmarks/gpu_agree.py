"""First part of `gpu.py`: check that the device computes the same as the CPU.

A GPU adds numbers in any order, so two trainings are not equal bit for bit. A resumed run, or a run in a process group,
may therefore differ from an uninterrupted run, but not much more than two uninterrupted runs differ.
"""

import contextlib
import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import make_quiet_config, serve
from gpu_speed import in_precision, sentence
from torch import Tensor

SCORES, LOSS, GRADIENTS, METRICS = 1e-4, 1e-5, 1e-3, 2e-3  # limits: relative differences, absolute for metrics
REPEATED, EXACT = 10.0, 1e-6  # allowed difference: this multiple of that of two equal runs, at least EXACT
USERS = 200  # number of users whose states are compared
EPOCHS = 2


class Agreement:
    """Runs the checks and reports each as a row of the table.

    Args:
        dataset: name of the data set.
        settings: further settings of every run.
        device: device to compare with the CPU.
        folder: folder for checkpoints and exports.
        on_row: called with the row of each check.
    """

    def __init__(
        self,
        dataset: str,
        settings: dict[str, Any],
        device: torch.device,
        folder: Path,
        on_row: Callable[[dict[str, Any]], None],
    ) -> None:
        self.dataset, self.settings, self.device, self.folder = dataset, settings, device, folder
        self.on_row = on_row

    def run(self) -> None:
        """Run all checks. If one fails or raises an error, the others still run."""
        with (
            in_precision("fp32", self.device),
            self.reported("training"),
        ):  # without a training there is nothing to compare
            trained = self.trained("unbroken")
            self.check_network(trained)
            self.check_evaluation(trained)
            self.check_streaming(trained)
            self.check_other_ways(trained)

    # --- trainings ---------------------------------------------------------------------------------------------------

    def config(self, folder: str, device: torch.device, **more: object) -> Any:  # noqa: ANN401 - RecBole's
        """Make the config of a run that saves into its own folder."""
        config = make_quiet_config("LongInterest", self.dataset, {**self.given(folder), **more})
        config["device"] = device
        return config

    def given(self, folder: str) -> dict[str, Any]:
        """Settings of a run that saves into its own folder."""
        return {"epochs": EPOCHS, "checkpoint_dir": str(self.folder / folder), "resume": True, **self.settings}

    def trained(self, folder: str, *epochs: int) -> Path:
        """Train on the device and return the checkpoint; stop and resume after each of the given epochs."""
        from recbole_longinterest.training import pipeline

        for until in (*epochs, EPOCHS):
            run = pipeline.run(self.config(folder, self.device, epochs=until))
        assert run.checkpoint is not None
        return run.checkpoint

    # --- checks ------------------------------------------------------------------------------------------------------

    def check_network(self, checkpoint: Path) -> None:
        """Check forward pass, loss and gradients of a batch, with the trained weights and without dropout."""
        with self.reported("forward", "loss", "gradients"):
            sides = self.sides(checkpoint)
            batch = next(iter(sides[0].train))
            made = [side.step(batch) for side in sides]
            self.compare("forward", made[1][0], made[0][0], SCORES)
            self.compare("loss", made[1][1], made[0][1], LOSS)
            # Small gradients are differences of large terms, so they are compared with the largest gradient.
            least = 1e-3 * max(float(each.abs().max()) for each in made[0][2].values())
            gradients = {name: difference(made[1][2][name], each, least) for name, each in made[0][2].items()}
            worst = max(gradients, key=gradients.__getitem__)
            self.report("gradients", gradients[worst], GRADIENTS, f"of {len(gradients)}; the largest is of {worst}")

    def check_evaluation(self, checkpoint: Path) -> None:
        """Check the full ranking of the test rows: scores of every batch, and the metrics."""
        with self.reported("evaluation: scores", "evaluation: metrics"):
            sides = self.sides(checkpoint)
            apart = [difference(*(side.scores(batch) for side in reversed(sides))) for batch, *_ in sides[0].test]
            self.report("evaluation: scores", max(apart), SCORES, f"the largest of {len(apart)} batches")
            cpu, device = (side.metrics() for side in sides)
            note = ", ".join(f"{name} {device[name]:.4f}" for name in list(cpu)[:5])
            worst = max(abs(device[name] - value) for name, value in cpu.items())
            self.report("evaluation: metrics", worst, METRICS, f"absolute; on the device {note}")

    def check_streaming(self, checkpoint: Path) -> None:
        """Check states of the exported model on the CPU, updated event by event, against the device's scores."""
        with self.reported("streaming"):
            import pandas as pd

            from recbole_longinterest.serving.state import recent_of, states_of

            served, side = serve(checkpoint, self.folder / "export"), self.sides(checkpoint)[1]
            config, dataset = side.config, side.test._dataset
            raw = pd.read_csv(Path(config["data_path"]) / f"{self.dataset}.inter", sep="\t", dtype=str)
            raw.columns = [name.partition(":")[0] for name in raw.columns]
            numbers = [name for name in (config["RATING_FIELD"], config["TIME_FIELD"]) if name in raw]
            raw[numbers] = raw[numbers].astype(float)
            histories = served.read_table(raw)
            users, events, apart = 0, 0, 0.0
            for whole, *_ in side.test:  # batches are of similar lengths: some users of each
                batch = whole[: 1 + USERS // len(side.test)]
                tokens = dataset.id2token(dataset.uid_field, batch[dataset.uid_field])
                past = [histories[user].keep(slice(0, len(histories[user]) - 1)) for user in tokens]  # leave-one-out
                states = states_of(served, past)
                interest = torch.cat([state.interest for state in states])
                got = served.scores_of(interest, [state.seen for state in states], recent_of(states))
                apart = max(apart, difference(got[:, 1:], side.scores(batch)[:, 1:]))
                users, events = users + len(states), events + sum(map(len, past))
            self.report("streaming", apart, SCORES, f"{users} users, {events:,} events")

    def check_other_ways(self, checkpoint: Path) -> None:
        """Check the weights of a resumed run and of a process group of one, against those of an uninterrupted run."""
        from recbole_longinterest.training import processes

        with self.reported("resume", "nproc 1"):
            again = self.apart(self.trained("again"), checkpoint)
            limit = max(REPEATED * again, EXACT)
            note = f"{EPOCHS} epochs; two unbroken runs differ by {again:.1e}"
            with self.reported("resume"):
                self.report("resume", self.apart(self.trained("resumed", 1), checkpoint), limit, note)
            with self.reported("nproc 1"):
                given = {**self.given("group"), "nproc": 1, "show_progress": False, "state": "ERROR"}
                if self.device.type == "cpu":
                    given["gpu_id"] = ""
                config = self.config("group", self.device)
                with without_tf32():
                    run = processes.run(config, ("LongInterest", self.dataset, [], given), [])
                assert run.checkpoint is not None
                self.report("nproc 1", self.apart(run.checkpoint, checkpoint), limit, note)

    @staticmethod
    def apart(first: Path, second: Path) -> float:
        """Largest relative difference of the weights after the last epoch."""
        from recbole_longinterest.plugin.runs.checkpoints import LAST, load_checkpoint

        ours, theirs = (load_checkpoint(f"{file}{LAST}", "cpu")["state_dict"] for file in (first, second))
        return max(difference(ours[name], each) for name, each in theirs.items() if each.is_floating_point())

    # --- both sides --------------------------------------------------------------------------------------------------

    def sides(self, checkpoint: Path) -> list["Side"]:
        """Load the trained model on the CPU and on the device, with the same loaders."""
        from recbole_longinterest.plugin.fixes.load_model import load_data_and_model

        config, model, _, train, _, test = load_data_and_model(checkpoint)
        return [Side(config, model, train, test, torch.device(name)) for name in ("cpu", self.device)]

    # --- rows --------------------------------------------------------------------------------------------------------

    def compare(self, name: str, got: Tensor, expected: Tensor, limit: float, note: str = "") -> None:
        """Report the relative difference of two tensors."""
        self.report(name, difference(got, expected), limit, note)

    def report(self, name: str, value: float, limit: float, note: str = "") -> None:
        """Add a row."""
        row = {"check": name, "difference": value, "limit": limit, "holds": bool(value <= limit), "note": note}
        self.on_row(row)

    @contextlib.contextmanager
    def reported(self, *names: str) -> Iterator[None]:
        """Report an error in the block as failed checks."""
        try:
            yield
        except Exception as error:  # any error of a device; the other checks still run
            for name in names:
                self.on_row({"check": name, "difference": "", "limit": "", "holds": False, "note": sentence(error)})


class Side:
    """A trained model on one device.

    Args:
        config: config of the training.
        model: the model.
        train: loader of the training batches.
        test: loader of the test part.
        device: the device.
    """

    def __init__(self, config: Any, model: torch.nn.Module, train: Any, test: Any, device: torch.device) -> None:  # noqa: ANN401
        self.config, self.train, self.test, self.device = copy.deepcopy(config), train, test, device
        self.config["device"] = device
        self.model = copy.deepcopy(model).to(device)
        self.model.device = device

    def step(self, batch: Any) -> tuple[Tensor, Tensor, dict[str, Tensor]]:  # noqa: ANN401 - an Interaction
        """Compute the interest at the counted positions, the loss, and the gradient of each parameter."""
        model = copy.deepcopy(self.model).train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        batch = batch.to(self.device)
        interest = model.forward(batch[model.ITEM_SEQ], model.side_levels(batch), model.item_vectors())
        loss = model.calculate_loss(batch)
        loss.backward()
        gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
        return interest[batch[model.TARGET_SEQ] > 0], loss, gradients

    @torch.no_grad()
    def scores(self, batch: Any) -> Tensor:  # noqa: ANN401 - an Interaction
        """Scores of all items, [B, N]."""
        return self.model.eval().full_sort_predict(batch.to(self.device)).clone()

    def metrics(self) -> dict[str, float]:
        """Compute the metrics of the test part."""
        from recbole.utils import get_trainer

        trainer = get_trainer(self.config["MODEL_TYPE"], self.config["model"])(self.config, self.model)
        return dict(trainer.evaluate(self.test, load_best_model=False))


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Start processes without TF32, as in this one; NVIDIA's libraries read the environment variable."""
    name = "NVIDIA_TF32_OVERRIDE"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def difference(got: Tensor, expected: Tensor, least: float = 1e-30) -> float:
    """Largest difference of two tensors, relative to the largest expected value; infinite for NaN or other shapes.

    Args:
        got: values of the device.
        expected: values of the CPU.
        least: minimum of the value that the difference is relative to.
    """
    got, expected = (each.detach().cpu().double() for each in (got, expected))
    if got.shape != expected.shape:
        return float("inf")
    if not expected.numel():
        return 0.0
    found = float((got - expected).abs().max() / expected.abs().max().clamp(min=least))
    return found if np.isfinite(found) else float("inf")
