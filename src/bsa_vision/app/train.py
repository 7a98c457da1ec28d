"""A training folder in, a model folder out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bsa_vision.segmentation.dataset import check_codes, read_training_folder
from bsa_vision.segmentation.export import export_model
from bsa_vision.segmentation.train import TrainSettings, train


def train_model(
    data: Path,
    out: Path,
    *,
    init: str | None,
    steps: int,
    minutes: float | None,
    seed: int,
    report: Callable[[str], None],
) -> Path:
    """Train, then export the model; an interrupted run in `out` is taken up again.

    Parameters
    ----------
    data : training folder: images, masks and ``dataset.json``.
    out : the model's folder; the run's checkpoint and record lie in ``run/`` inside it.
    init : name or folder of the model to start from.
    steps, minutes : the budget; whichever is spent first ends the run.
    seed : of the first weights and of the crops.
    report : told a line after each evaluation on the held-out part.

    Returns
    -------
    The model's folder.

    Raises
    ------
    InputError
        When the data cannot be used, or `out` holds a run with other data or settings.
    """
    check_codes(read_training_folder(data))
    run = out / "run"
    settings = TrainSettings(steps=steps, minutes=minutes, seed=seed)
    train(data, run, init, settings, lambda line: report(_text(line)))
    card = export_model(run, data, out)
    report(f"Exported with temperature {card.temperature:g}; figures are in its card.")
    return out


def _text(line: dict[str, Any]) -> str:
    text = f"step {line['step']}, {line['minutes']} min, loss {line['loss']}"
    dice = line.get("val", {}).get("mean_dice")
    return text if dice is None else f"{text}, held-out mean Dice {dice:.3f}"
