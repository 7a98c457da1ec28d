"""A training folder in; a model folder and a report out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bsa_vision.app.masks import prepared_photo
from bsa_vision.app.output import make_writable
from bsa_vision.core.errors import InputError, Refused
from bsa_vision.core.files import write_whole
from bsa_vision.core.labels import label_palette
from bsa_vision.core.provenance import canonical_json
from bsa_vision.pipeline import WORK_SIDE
from bsa_vision.report.training import WorstCase, training_report
from bsa_vision.report.training_curves import draw_curves
from bsa_vision.segmentation.card import (
    CARD_FILE,
    SKIN_CLASSES,
    ModelCard,
    file_sha256,
    find_model,
    read_card,
)
from bsa_vision.segmentation.crops import Crops
from bsa_vision.segmentation.dataset import (
    TrainingFolder,
    check_codes,
    read_training_folder,
)
from bsa_vision.segmentation.export import export_model, read_record
from bsa_vision.segmentation.held_out import HeldOutImage, foreground_dice, worst_cases_order
from bsa_vision.segmentation.mask_file import encode_mask
from bsa_vision.segmentation.metrics import confusion
from bsa_vision.segmentation.padding import network_size, resample
from bsa_vision.segmentation.predict import ModelSegmenter, load_segmenter
from bsa_vision.segmentation.train import (
    TrainSettings,
    default_settings,
    kind_of_start,
    train,
    usual_long_side,
)

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
    _check_out(out)
    folder = read_training_folder(data)
    for reason in folder.left_out.values():
        report(f"Left out: {reason}.")
    unreadable = check_codes(folder)
    for reason in unreadable.values():
        report(f"Left out: {reason}")
    n_train = len(set(folder.split["train"]) - set(unreadable))
    start = None if init is None else read_card(find_model(init))
    kind = kind_of_start(start, folder.classes)
    held_out = folder.patients_of("val", unreadable)
    settings = default_settings(n_train, len(held_out), steps, start=kind, seed=seed)
    long_side = _long_side(folder, start, long_side)
    settings = replace(settings, minutes=minutes, long_side=long_side)
    report(f"{n_train} images to train on, {settings.steps} steps at most.")
    try:
        return _trained(folder, unreadable, out.resolve(), init, settings, report)
    except OSError as error:
        reason = f"{error.filename or out}: {error.strerror or error}."
        remedy = "See that the photos are there and that there is room, then give it again."
        raise InputError(reason, remedy) from None


def _trained(
    folder: TrainingFolder,
    unreadable: Mapping[str, str],
    out: Path,
    init: str | None,
    settings: TrainSettings,
    report: Callable[[str], None],
) -> Path:
    size = int(Crops.SCALES[1] * (settings.long_side or 0))
    data = out / "prepared" / f"{folder.digest()[:16]}-{size}"
    refused = _prepare(folder, unreadable, data, size, report)
    train(data, out / "run", init, settings, lambda line: report(_text(line)))
    export_model(out / "run", data, out)
    _write_report(read_training_folder(data), {**folder.left_out, **refused}, out)
    report(f"Report: {out / REPORT}")
    return out


def _check_out(out: Path) -> None:
    """Refuse to train over a model that no run here made."""
    make_writable(out)
    if (out / CARD_FILE).is_file() and not (out / "run").is_dir():
        reason = f"{out} holds a model already."
        raise InputError(reason, "Choose another output folder.")


def _long_side(folder: TrainingFolder, start: ModelCard | None, given: int | None) -> int:
    """The resolution that was asked for, or what suits the images and the model to start from.

    Raises
    ------
    InputError
        When it is more than scoring gives a model of the skin states.
    """
    if given is None:
        return usual_long_side(folder, start)
    if given > WORK_SIDE and dict(folder.classes) == SKIN_CLASSES:
        reason = f"--long-side {given}: scoring shows photos at a long side of {WORK_SIDE}."
        raise InputError(reason, f"Give {WORK_SIDE} or less for a model of the skin states.")
    return given


def _prepare(
    folder: TrainingFolder,
    unreadable: Mapping[str, str],
    out: Path,
    max_side: int,
    report: Callable[[str], None],
) -> dict[str, str]:
    """Write a training folder of the photos as `predict` reads them, no larger than training needs.

    For the skin states they are corrected as for scoring. What is there from an interrupted run is
    used again: the folder is named after what it is made from. Returns the photos that are left out
    because they, or their masks, cannot be read, and why.
    """
    for kind in ("images", "masks"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    refused = dict(unreadable)
    for name, image in _of_the_split(folder).items():
        paths = out / "images" / f"{name}.png", out / "masks" / f"{name}.png"
        if name in unreadable or all(path.is_file() for path in paths):
            continue
        photo = prepared_photo(image, folder.classes)
        if isinstance(photo, Refused):
            report(f"Left out: {photo.reason}")
            refused[name] = photo.reason
            continue
        size = network_size(photo.full_size, min(max_side, max(photo.pixels.shape[:2])))
        codes = folder.read_codes(name)
        mask = cv2.resize(codes, size, interpolation=cv2.INTER_NEAREST_EXACT)
        pixels = resample(photo.pixels, size)[:, :, ::-1]
        write_whole(paths[1], encode_mask(np.asarray(mask, np.uint8)))
        write_whole(paths[0], cv2.imencode(".png", pixels)[1].tobytes())
    write_whole(out / "dataset.json", canonical_json(_description(folder, refused)).encode())
    return refused


def _of_the_split(folder: TrainingFolder) -> dict[str, Path]:
    """The images of a part: others take no part in training."""
    members = {name for part in folder.split.values() for name in part}
    return {name: image for name, image in folder.images.items() if name in members}


def _description(folder: TrainingFolder, refused: Mapping[str, str]) -> dict[str, Any]:
    """The ``dataset.json`` of a prepared folder."""
    names = [name for name in _of_the_split(folder) if name not in refused]
    document: dict[str, Any] = {
        "classes": {str(code): name for code, name in folder.classes.items()},
        "split": {
            part: [name for name in members if name not in refused]
            for part, members in folder.split.items()
        },
        "groups": {name: dict(folder.groups[name]) for name in names if name in folder.groups},
        "sources": {name: file_sha256(folder.images[name]) for name in names},
    }
    if folder.patients_given:
        document["patients"] = {name: folder.patients[name] for name in names}
    return document


def _text(line: dict[str, Any]) -> str:
    text = f"step {line['step']}, {line['minutes']} min, loss {line['loss']}"
    dice = line.get("val", {}).get("mean_dice")
    return text if dice is None else f"{text}, held-out mean Dice {dice:.3f}"


def _write_report(folder: TrainingFolder, left_out: Mapping[str, str], out: Path) -> None:
    """Run the exported model over the images it did not learn from, and write the report."""
    record = read_record(out / "run")
    record["data"]["left_out"] = dict(left_out)
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
