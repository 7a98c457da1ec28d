"""A training folder in; a model folder and a report out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bsa_vision.core.files import write_whole
from bsa_vision.core.labels import label_palette
from bsa_vision.report.training import (
    HeldOutImage,
    WorstCase,
    foreground_dice,
    training_report,
    worst_cases_order,
)
from bsa_vision.report.training_curves import draw_curves
from bsa_vision.segmentation.card import SKIN_CLASSES
from bsa_vision.segmentation.dataset import TrainingFolder, check_codes, read_training_folder
from bsa_vision.segmentation.export import export_model, read_record
from bsa_vision.segmentation.metrics import confusion
from bsa_vision.segmentation.padding import network_size, resample
from bsa_vision.segmentation.predict import ModelSegmenter, load_segmenter
from bsa_vision.segmentation.train import default_settings, train

REPORT, CURVES = "report.html", "curves.svg"
#: Long side of the pictures in the report, pixels.
PICTURE_SIDE = 480


def train_model(
    data: Path,
    out: Path,
    *,
    init: str | None,
    steps: int | None,
    minutes: float | None,
    long_side: int | None,
    seed: int,
    report: Callable[[str], None],
) -> Path:
    """Train, then export the model and report on it; an interrupted run is taken up again.

    Parameters
    ----------
    data : training folder: images, masks and ``dataset.json``.
    out : the model's folder; the run's checkpoint and record lie in ``run/`` inside it, and
        ``report.html`` and ``curves.svg`` beside the model.
    init : name or folder of the model to start from.
    steps : most steps of the optimiser; None for as many as suit the number of images.
    minutes : training time at most; None for no limit.
    long_side : network pixels of a photo's long side; None for that of the model to start from, or
        the usual one of the images.
    seed : of the first weights and of the crops.
    report : told of images left out, and a line after each evaluation on the held-out part.

    Returns
    -------
    The model's folder.

    Raises
    ------
    InputError
        When the data cannot be used, or `out` holds a run with other data or settings.
    """
    folder = read_training_folder(data)
    for reason in folder.left_out.values():
        report(f"Left out: {reason}.")
    check_codes(folder)
    n_train = len(folder.split["train"])
    settings = default_settings(n_train, fine_tune=init is not None, seed=seed)
    steps = settings.steps if steps is None else steps
    settings = replace(
        settings,
        steps=steps,
        minutes=minutes,
        long_side=long_side,
        val_every=min(settings.val_every, steps),
    )
    report(f"{n_train} images to train on, {steps} steps at most.")
    train(data, out / "run", init, settings, lambda line: report(_text(line)))
    card = export_model(out / "run", data, out)
    _write_report(folder, out)
    report(f"Exported with temperature {card.temperature:g}. Report: {out / REPORT}")
    return out


def _text(line: dict[str, Any]) -> str:
    text = f"step {line['step']}, {line['minutes']} min, loss {line['loss']}"
    dice = line.get("val", {}).get("mean_dice")
    return text if dice is None else f"{text}, held-out mean Dice {dice:.3f}"


def _write_report(folder: TrainingFolder, out: Path) -> None:
    """Run the exported model over the images it did not learn from, and write the report."""
    record = read_record(out / "run")
    part = "test" if folder.split["test"] else "val"
    segmenter = load_segmenter(out)
    images = [_held_out(folder, segmenter, name) for name in folder.split[part]]
    worst = [
        _worst_case(folder, segmenter, name, images)
        for name in worst_cases_order(images, folder.classes)
    ]
    html = training_report(record, images, worst, _colours(folder), part=part)
    write_whole(out / REPORT, html.encode())
    write_whole(out / CURVES, draw_curves(record["history"], record["kept_step"]).encode())


def _held_out(folder: TrainingFolder, segmenter: ModelSegmenter, name: str) -> HeldOutImage:
    pixels, truth = folder.read(name)
    found = segmenter.segment(pixels).labels_at((pixels.shape[1], pixels.shape[0]))
    counts = confusion(truth, found, tuple(folder.classes))
    return HeldOutImage(name, folder.patients[name], counts)


def _worst_case(
    folder: TrainingFolder, segmenter: ModelSegmenter, name: str, images: list[HeldOutImage]
) -> WorstCase:
    pixels, truth = folder.read(name)
    full = (pixels.shape[1], pixels.shape[0])
    size = network_size(full, min(PICTURE_SIDE, max(full)))
    masks = [
        np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
        for mask in (truth, segmenter.segment(pixels).labels_at(full))
    ]
    counts = next(image.counts for image in images if image.name == name)
    dice = foreground_dice(counts, folder.classes)
    return WorstCase(name, dice or 0.0, resample(pixels, size), masks[0], masks[1])


def _colours(folder: TrainingFolder) -> dict[int, tuple[int, int, int]]:
    """A colour for each class: the chain's own for its labels, else evenly spaced hues."""
    if dict(folder.classes) == SKIN_CLASSES:
        palette = label_palette()
        return {code: tuple(palette[code].tolist()) for code in folder.classes}
    hues = np.linspace(0, 180, len(folder.classes), endpoint=False)
    hsv = np.array([[(hue, 220, 220) for hue in hues]], np.uint8)
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0].tolist()
    return {code: tuple(colour) for code, colour in zip(folder.classes, rgb, strict=True)}
