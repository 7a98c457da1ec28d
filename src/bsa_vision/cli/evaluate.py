"""`bsa-vision evaluate`: how well masks agree with the truth."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bsa_vision.cli.console import exit_code, progress_bars, results, warn, write_json


def evaluate(
    pred: Annotated[Path, typer.Option(help="Folder of predicted masks.")],
    truth: Annotated[Path, typer.Option(help="Folder of true masks of the same names.")],
    json: Annotated[bool, typer.Option("--json", help="A JSON document on stdout.")] = False,
) -> None:
    """Compare predicted with true masks, class by class."""
    from bsa_vision.app.masks import evaluate_masks

    with progress_bars() as progress:
        document = evaluate_masks(pred, truth, progress)
    if json:
        write_json(document)
    else:
        _show(document)
    failed = len(document["failed"])
    raise typer.Exit(exit_code(failed, failed + document["compared"]))


def _show(document: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    measures = ("dice", "iou", "precision", "recall")
    table = Table("class", "true pixels", *measures, box=SIMPLE_HEAD)
    for row in document["classes"]:
        values = ("-" if row[name] is None else f"{row[name]:.4f}" for name in measures)
        table.add_row(row["name"], f"{row['true_pixels']:,}", *values)
    results().print(table)
    for failure in document["failed"]:
        warn(failure["reason"])
