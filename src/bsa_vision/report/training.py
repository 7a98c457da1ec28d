"""The report of a training run: one HTML file without scripts or outside resources."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bsa_vision.core.labels import Label
from bsa_vision.report.page import data_uri, environment, words
from bsa_vision.report.thumbnails import jpeg, oversampled
from bsa_vision.report.training_curves import Points, dice_points, draw_curves, loss_points
from bsa_vision.segmentation.held_out import (
    Classes,
    HeldOutImage,
    dice_intervals,
    mean_dice_interval,
    pooled,
)
from bsa_vision.segmentation.metrics import Counts

_MISSING = "\N{EN DASH}"
_PART_WORDS = {"val": "validation", "test": "test"}
#: With fewer held-out patients than this, the next patient may lie well outside the interval.
_FEW_PATIENTS = 5
#: Evaluations from which on the last third of a run is judged.
_LEAST_LINES = 6
#: Change over the last third that is told: of Dice, and of the loss as a share of its mean. The
#: loss falls a little to the end of any run, because the learning rate does.
_DICE_CHANGE, _LOSS_CHANGE = 0.01, 0.1
#: Images left out that are named at once; the others are folded away.
_MOST_NAMED = 8
#: Up to this many classes the confusion table has room for names and for a decimal.
_MOST_NAMED_COLUMNS = 10

_PICTURE_SIDE = 480

#: The axis of the bars in the table, and the room beside it for half a number.
_BAR_AXIS, _BAR_LEFT = 230.0, 10.0

Record = Mapping[str, Any]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class WorstCase:
    """A photo to look at.

    Attributes
    ----------
    name : of the photo. dice : its `foreground_dice`.
    image : (h, w, 3) sRGB.
    truth, predicted : (h, w) codes; codes that are no class are not drawn.
    """

    name: str
    dice: float
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]


@dataclass(frozen=True)
class _Caution:
    """A box above the numbers: what is wrong, what to do, and details."""

    title: str
    text: str
    items: tuple[tuple[str, str], ...] = ()


def training_report(
    record: Record,
    images: Sequence[HeldOutImage],
    worst: Sequence[WorstCase],
    colours: Mapping[int, Colour],
    part: str,
) -> str:
    """Render the report.

    Parameters
    ----------
    record : content of ``run.json``.
    images : the held-out photos; none when nothing was held out.
    worst : the photos to show, worst first.
    colours : sRGB of every class, by code.
    part : ``"test"`` or ``"val"``, where `images` are from.

    Raises
    ------
    ValueError
        When `part` is another, or the tables of `images` have not one row for each class.
    """
    if part not in _PART_WORDS:
        msg = f"part: need one of {', '.join(_PART_WORDS)}, got {part!r}"
        raise ValueError(msg)
    # JSON sorts codes as text; the rows of the tables are sorted as numbers.
    classes = {code: record["classes"][str(code)] for code in sorted(map(int, record["classes"]))}
    templates = environment()
    templates.filters.update(words=words)
    numbered = len(classes) > _MOST_NAMED_COLUMNS
    curves = draw_curves(record["history"], record.get("kept_step"))
    return templates.get_template("training.html.j2").render(
        record=record,
        part=_PART_WORDS[part],
        headline=_headline(record, images, classes, part),
        facts=_facts(record),
        cautions=_cautions(record, images, part),
        most_named=_MOST_NAMED,
        # The plots are made of numbers and constant words alone.
        curves=Markup(curves),  # noqa: S704 (our own SVG)
        held_out=bool(images),
        bar_scale=Markup(_bar_scale()),  # noqa: S704 (our own SVG)
        classes=_class_rows(images, classes, colours),
        columns=[str(code) if numbered else words(name) for code, name in classes.items()],
        numbered=numbered,
        confusion=_confusion_rows(pooled(images, len(classes)), classes),
        blank=_least_shown(len(classes)),
        worst=[_worst_row(case, classes, colours) for case in worst],
        legend=_legend(worst, classes, colours),
        settings=[*_flat(record["settings"])],
        versions=[*_flat(record["versions"])],
    )


def _headline(record: Record, images: Sequence[HeldOutImage], classes: Classes, part: str) -> str:
    trained = f"Trained on {_count(record['data']['images']['train'], 'photo')}"
    if not images:
        return f"{trained}. How well the network does on other patients was not measured."
    mean = mean_dice_interval(images, classes)
    patients = _count(len({image.patient for image in images}), "patient")
    if record["data"]["patients"] is None:
        patients = "patients that were not told apart"
    interval = (
        "no interval from one patient"
        if mean["low"] is None
        else f"95\N{NO-BREAK SPACE}% interval {_interval(mean)}"
    )
    return (
        f"{trained}, tried on {_count(len(images), 'photo')} of {patients} that it did not learn "
        f"from ({_PART_WORDS[part]} part): mean Dice {_two(mean['dice'])} ({interval})."
    )


def _facts(record: Record) -> list[tuple[str, str]]:
    data, init = record["data"], record["init"]
    untold = data["patients"] is None
    photos = ", ".join(
        f"{data['images'].get(part, 0)} {words}"
        for part, words in (("train", "training"), *_PART_WORDS.items())
    )
    facts = [
        ("Photos", photos),
        ("Patients", "not told apart" if untold else f"{data['patients']} in all parts"),
        ("Started from", "random weights" if init is None else init["name"]),
        ("Device", record["device"]),
    ]
    if "seconds" in record:
        facts.append(("Training time", _duration(record["seconds"])))
    return facts


def _cautions(record: Record, images: Sequence[HeldOutImage], part: str) -> list[_Caution]:
    found = [*_held_out_cautions(images, part)]
    if record["data"]["patients"] is None:
        text = (
            "dataset.json does not say which photos are of one patient. Photos of a patient may "
            "have been learnt from and tried on: the figures are then too good and their intervals "
            "too narrow. List the patients and train again."
        )
        found.append(_Caution("Patients were not told apart", text))
    left_out = record["data"].get("left_out") or {}
    if left_out:
        title = f"{_count(len(left_out), 'image')} left out"
        text = "They were used neither for training nor here. Correct the files and train again."
        found.append(_Caution(title, text, tuple(sorted(left_out.items()))))
    return [*found, *_course_cautions(record)]


def _held_out_cautions(images: Sequence[HeldOutImage], part: str) -> Iterator[_Caution]:
    if not images:
        yield _Caution(
            "No held-out photo was evaluated",
            "Nothing is known of how the network does on patients it did not learn from. Put the "
            f"photos of at least {_FEW_PATIENTS} patients into the test part of the split in "
            "dataset.json, or give no split so that one is drawn by patient; then train again.",
        )
        return
    if part == "val":
        yield _Caution(
            "These figures are optimistic",
            "They are from the validation photos, and those also chose which weights were kept. "
            "Before a figure is quoted, measure it on a test part that chose nothing.",
        )
    patients = len({image.patient for image in images})
    if patients < _FEW_PATIENTS:
        yield _Caution(
            f"Only {_count(patients, 'patient')} held out",
            "Photos of one patient are alike: from so few patients neither the figures nor their "
            f"intervals say much about the next one. Hold out at least {_FEW_PATIENTS}.",
        )


def _course_cautions(record: Record) -> Iterator[_Caution]:
    losses, dices = loss_points(record["history"]), dice_points(record["history"])
    loss, dice = _last_third(losses), _last_third(dices)
    if dice is not None and dice < -_DICE_CHANGE:
        kept = record.get("kept_step")
        weights = "" if kept is None else f" The weights that were kept are those of step {kept}."
        yield _Caution(
            "Overfitting",
            f"Over the last third of the run the validation Dice fell by {-dice:.2f}: the network "
            f"was learning its training photos by heart.{weights} More photos of other patients "
            "help; longer training does not.",
        )
    elif dice is not None and dice > _DICE_CHANGE:
        yield _Caution(
            "Training ended too soon",
            f"Over the last third of the run the validation Dice still rose by {dice:.2f}. Train "
            "longer: give more steps.",
        )
    elif loss is not None and not record.get("stopped_early"):
        share = -loss / float(np.mean([value for _, value in losses]))
        if share > _LOSS_CHANGE:
            yield _Caution(
                "Training may have ended too soon",
                "Over the last third of the run the training loss still fell clearly. Train "
                "longer: give more steps.",
            )


def _last_third(points: Points) -> float | None:
    """Change along the line through the last third; None when the points are too few for it."""
    if len(points) < _LEAST_LINES:
        return None
    steps, values = np.array(points[-1 - len(points) // 3 :]).T
    return float(np.polyfit(steps, values, 1)[0] * (steps[-1] - steps[0]))


def _class_rows(
    images: Sequence[HeldOutImage], classes: Classes, colours: Mapping[int, Colour]
) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "colour": _css(colours[row["code"]]),
            "dice": _two(row["dice"]),
            "interval": _interval(row),
            "bar": Markup(_bar(row)),  # noqa: S704 (our own SVG, of numbers alone)
        }
        for row in dice_intervals(images, classes)
    ]


def _bar(row: Record) -> str:
    """Dice as a line across its interval as a bar, on an axis from 0 to 1."""

    def x(value: float) -> float:
        return _BAR_LEFT + _BAR_AXIS * value

    width = 2 * _BAR_LEFT + _BAR_AXIS
    grid = "".join(f"M{x(k / 4):g} 0v20" for k in range(5))
    parts = [f'<svg viewBox="0 0 {width:g} 20" class="bar"><path d="{grid}" stroke="#ddd"/>']
    if row["low"] is not None:
        low, high = x(row["low"]), x(row["high"])
        parts.append(
            f'<rect x="{low:.1f}" y="6" width="{high - low:.1f}" height="8" fill="#8fc1de"/>'
        )
    if row["dice"] is not None:
        line = f"M{x(row['dice']):.1f} 3v14"
        parts.append(f'<path d="{line}" stroke="#174f70" stroke-width="2.4"/>')
    return "".join([*parts, "</svg>"])


def _bar_scale() -> str:
    """The numbers above the bars' axis."""
    width = 2 * _BAR_LEFT + _BAR_AXIS
    texts = "".join(
        f'<text x="{_BAR_LEFT + _BAR_AXIS * k / 4:g}" y="11">{k / 4:g}</text>' for k in range(5)
    )
    return (
        f'<svg viewBox="0 0 {width:g} 14" class="bar" text-anchor="middle" font-size="10.5" '
        f'fill="#666">{texts}</svg>'
    )


def _confusion_rows(counts: Counts, classes: Classes) -> list[dict[str, Any]]:
    """The pooled table in percent of the true class; rows without true pixels have no numbers."""
    least = _least_shown(len(classes))
    total = int(counts.sum())
    rows = []
    for k, (code, name) in enumerate(classes.items()):
        true_n = int(counts[k].sum())
        shares = [100 * int(count) / true_n if true_n else None for count in counts[k]]
        rows.append(
            {
                "code": code,
                "name": name,
                "share": _percent(100 * true_n / total if total else None, 0.05),
                "cells": [
                    (_percent(share, least), _shade(share, hit=j == k), j == k)
                    for j, share in enumerate(shares)
                ],
            }
        )
    return rows


def _least_shown(n: int) -> float:
    """The least percentage that is written in a table of n classes: half its last decimal."""
    return 0.05 if n <= _MOST_NAMED_COLUMNS else 0.5


def _percent(share: float | None, least: float) -> str:
    if share is None:
        return _MISSING
    return f"{share:.{1 if least < 0.1 else 0}f}" if share >= least else ""


def _shade(share: float | None, *, hit: bool) -> str:
    """Background of a cell: the more, the darker; blue where the classes agree, else orange."""
    red, green, blue = (47, 134, 184) if hit else (230, 120, 0)
    return f"rgba({red}, {green}, {blue}, {0.75 * (share or 0) / 100:.3f})"


def _worst_row(case: WorstCase, classes: Classes, colours: Mapping[int, Colour]) -> dict[str, Any]:
    outlined = {code: colours[code] for code in classes if code != Label.BACKGROUND}
    pictures = [
        ("photo", _picture(case.image, case.truth, {})),
        ("given mask (truth)", _picture(case.image, case.truth, outlined)),
        ("mask of the network", _picture(case.image, case.predicted, outlined)),
    ]
    return {"name": case.name, "dice": _two(case.dice), "pictures": pictures}


def _picture(
    image: NDArray[np.uint8], codes: NDArray[np.uint8], outlined: Mapping[int, Colour]
) -> str:
    """A photo with outlines along the inside of each class, as the URI of a JPEG.

    On the inside, because neighbours share a border and either would hide the other's line.
    """
    canvas, masks = oversampled(image, codes, _PICTURE_SIDE)
    for code, colour in outlined.items():
        mask = (masks == code).astype(np.uint8)
        # A dark line beneath keeps light colours apart from light skin.
        for line, width_px in (((20, 20, 20), 7), (colour, 5)):
            inside = cv2.erode(mask, np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8))
            canvas[mask > inside] = line
    return data_uri(jpeg(canvas))


def _legend(
    worst: Sequence[WorstCase], classes: Classes, colours: Mapping[int, Colour]
) -> list[tuple[str, str]]:
    """Colour and name of the classes that are outlined somewhere."""
    masks = (mask for case in worst for mask in (case.truth, case.predicted))
    met = {int(code) for mask in masks for code in np.unique(mask)}
    return [
        (_css(colours[code]), name)
        for code, name in classes.items()
        if code in met and code != Label.BACKGROUND
    ]


def _flat(values: Record, before: str = "") -> Iterator[tuple[str, str]]:
    """Settings as rows; those within others are named by both."""
    for key, value in values.items():
        name = f"{before}{words(key)}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}, ")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value)) or _MISSING
        else:
            yield name, _MISSING if value is None else str(value)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _two(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.2f}"


def _interval(record: Record) -> str:
    if record["low"] is None:
        return _MISSING
    return f"{record['low']:.2f}\N{EN DASH}{record['high']:.2f}"


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
