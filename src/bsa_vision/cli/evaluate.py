"""`bsa-vision evaluate`: how well masks agree with the truth."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bsa_vision.cli.console import exit_code, progress_bars, results, warn, write_json


def evaluate(
    pred: Annotated[Path, typer.Option(help="Folder of predicted masks.")],
    truth: Annotated[Path, typer.Option(help="Folder of true masks of the same names.")],
    names: Annotated[
        Path | None, typer.Option(help="Text file, a NAME a line: compare only these.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON document on stdout.")] = False,
) -> None:
    """Compare predicted with true masks, class by class."""
    from bsa_vision.app.evaluate import evaluate_masks

    with progress_bars() as progress:
        document = evaluate_masks(pred, truth, progress, names)
    if json:
        write_json(document)
    else:
        _show(document)
    failed = len(document["failed"])
    raise typer.Exit(exit_code(failed, failed + document["compared"]))


def _show(document: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    heads = ("Dice", "per image", "IoU", "precision", "recall", "boundary F1", "area bias")
    table = Table("class", "true pixels", *heads, box=SIMPLE_HEAD)
    for row in document["classes"]:
        measures = (
            row["dice"],
            row["per_image"]["mean_dice"],
            *(row[name] for name in ("iou", "precision", "recall", "boundary_f1")),
        )
        values = ("-" if value is None else f"{value:.4f}" for value in measures)
        bias = row["area_bias_percent"]
        last = "-" if bias is None else f"{bias:+.1f} %"
        table.add_row(row["name"], f"{row['true_pixels']:,}", *values, last)
    results().print(table)
    for kind, groups in document["groups"].items():
        shown = Table(kind.replace("_", " "), "images", "mean Dice", box=SIMPLE_HEAD)
        for group, found in groups.items():
            mean = found["mean_dice"]
            shown.add_row(group, str(found["images"]), "-" if mean is None else f"{mean:.4f}")
        results().print(shown)
    for failure in document["failed"]:
        warn(failure["reason"])
