"""The changing state of a training run, and its checkpoint.

A run is a pure function of its data, settings and start: crops are drawn by their number, the
learning rate follows the step, and everything else that changes is in ``checkpoint.pt``. So a run
that was killed at any step and is taken up again from its last checkpoint ends with the weights of
one that ran through (on the processor, with the same number of threads).
"""

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from bsa_vision.core.errors import InputError
from bsa_vision.core.files import write_whole

CHECKPOINT = "checkpoint.pt"
#: Steps over which the learning rate rises, unless the run is short.
WARM_UP_STEPS = 60
#: A run limited in minutes learns in this many steps what a step costs, and sets its length.
PACED_STEPS, UNPACED_STEPS = 20, 3


class TrainingRun:
    """Network, averaged weights, optimiser and place in the sequence of steps.

    Parameters
    ----------
    network : on its device.
    out : folder of the checkpoint.
    steps : most steps; fewer where `minutes` of training do not suffice for them.
    learning_rate, weight_decay, average, start_share : see `train.TrainSettings`.
    patience : evaluations without a gain after which the run ends; None for never, and then the
        last weights are kept.
    """

    def __init__(
        self,
        network: nn.Module,
        out: Path,
        *,
        steps: int,
        minutes: float | None,
        learning_rate: float,
        weight_decay: float,
        average: float,
        start_share: float,
        patience: int | None,
    ) -> None:
        self.network, self.out = network, out
        self.steps, self._minutes = steps, minutes
        self._learning_rate, self._decay, self._patience = learning_rate, average, patience
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._start_share = start_share
        self._start = {k: v.clone() for k, v in self.average.items()} if start_share else {}
        self.best: dict[str, Tensor] | None = None
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        self.step, self.seconds, self._unpaced_seconds = 0, 0.0, 0.0
        self.loss_sum, self.loss_count = 0.0, 0
        self.history: list[dict[str, Any]] = []

    @property
    def stopped_early(self) -> bool:
        """Whether the held-out part has not gained for `patience` evaluations."""
        marks = self._marks()
        if self._patience is None or not marks:
            return False
        return len(marks) - 1 - marks.index(max(marks)) >= self._patience

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.step >= self.steps or self.stopped_early

    @property
    def kept_step(self) -> int:
        """The step whose averaged weights are kept.

        With early stopping the best on the held-out part. Without, the last: the learning rate has
        come down to its end, and the best of many evaluations of few images is so by chance.
        """
        marks = self._marks()
        if not marks or self._patience is None:
            return self.step
        return int(self.history[marks.index(max(marks))]["step"])

    def _marks(self) -> list[float]:
        """Held-out mean Dice of each evaluation; empty without a held-out part."""
        found = [line.get("val", {}).get("mean_dice") for line in self.history]
        return [] if None in found else found

    def set_learning_rate(self) -> None:
        """Linear warm-up, then half a cosine down to 1 % of the peak."""
        warm = min(WARM_UP_STEPS, max(1, self.steps // 10))
        if self.step < warm:
            factor = (self.step + 1) / warm
        else:
            turn = (self.step - warm) / max(1, self.steps - warm)
            factor = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * turn))
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate * factor

    def count_step(self, loss: float, seconds: float) -> None:
        """Note a step that was taken: its loss and what it cost."""
        self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + 1
        self.step += 1
        self.seconds += seconds
        self._update_average()
        if self.step == UNPACED_STEPS:
            self._unpaced_seconds = self.seconds
        if self._minutes is not None and self.step == PACED_STEPS:
            pace = (self.seconds - self._unpaced_seconds) / (PACED_STEPS - UNPACED_STEPS)
            fits = PACED_STEPS + int((60 * self._minutes - self.seconds) / pace)
            self.steps = max(PACED_STEPS, min(self.steps, fits))

    def _update_average(self) -> None:
        """Move the averaged weights; young averages move faster so they forget the random start."""
        decay = min(self._decay, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        floats = [key for key, value in state.items() if value.is_floating_point()]
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call]  # torch has no types here
                [self.average[key] for key in floats], [state[key] for key in floats], self.step
            )
            for key in state.keys() - set(floats):
                self.average[key].copy_(state[key])

    def kept(self) -> dict[str, Tensor]:
        """What would be kept of this step: the averaged weights, partly those of the start."""
        return {
            key: torch.lerp(value, self._start[key], self._start_share)
            if self._start and value.is_floating_point()
            else value.clone()
            for key, value in self.average.items()
        }

    def note(self, held_out: dict[str, Any]) -> dict[str, Any]:
        """Add a line to the history, and keep the weights when it is the best."""
        line = {
            "step": self.step,
            "minutes": round(self.seconds / 60, 2),
            "loss": round(self.loss_sum / max(1, self.loss_count), 4),
            **held_out,
        }
        self.history.append(line)
        self.loss_sum, self.loss_count = 0.0, 0
        if self._marks() and self._patience is not None and self.kept_step == self.step:
            self.best = self.kept()
        return line

    def save(self, key: str) -> None:
        """Write the checkpoint whole or not at all."""
        state = {
            "key": key,
            "network": self.network.state_dict(),
            "average": self.average,
            "kept": self.kept(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "paced": (self._minutes, self.steps, self._unpaced_seconds),
            "seconds": self.seconds,
            "loss": (self.loss_sum, self.loss_count),
            "history": self.history,
        }
        # Through memory: torch reports a full disk as if it were a fault of the program.
        whole = BytesIO()
        torch.save(state, whole)
        write_whole(self.out / CHECKPOINT, whole.getvalue())

    def resume(self, key: str) -> None:
        """Take up the run in the output folder, if there is one with the same data and settings.

        Raises
        ------
        InputError
            When the folder holds a run with others.
        """
        path = self.out / CHECKPOINT
        if not path.is_file():
            return
        device = next(self.network.parameters()).device
        state = torch.load(path, map_location=device, weights_only=True)
        if state["key"] != key:
            msg = f"{self.out} holds a run with other data or settings."
            raise InputError(msg, "Choose another output folder, or remove this one.")
        self.network.load_state_dict(state["network"])
        self.average, self.best = state["average"], state["best"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.history = state["step"], state["seconds"], state["history"]
        self.loss_sum, self.loss_count = state["loss"]
        minutes, steps, self._unpaced_seconds = state["paced"]
        if self._minutes is not None and self.step >= PACED_STEPS:
            # The same time as before means the same steps; another one is divided anew.
            pace = self.seconds / self.step
            fits = steps if minutes == self._minutes else int(60 * self._minutes / pace)
            self.steps = min(self.steps, fits)


def kept_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The weights of a run that are worth keeping: `TrainingRun.kept`, of the best or last step."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    kept: dict[str, Tensor] = state["kept"] if state["best"] is None else state["best"]
    return kept
