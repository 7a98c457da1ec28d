"""`bsa-vision calibrate`: what the colour card and the marker sheet of photos say."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bsa_vision.cli.console import exit_code, progress_bars, results, warn, write_json


def calibrate(
    photos: Annotated[list[Path], typer.Argument(help="Photo files.")],
    sheet: Annotated[
        str | None,
        typer.Option(help="a4-classic, arcu-a3 or arcu-a4-mini; default: recognised."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON document on stdout.")] = False,
) -> None:
    """Find the colour card and scale sheet in photos."""
    from bsa_vision.app.calibrate import calibrate_photos

    with progress_bars() as progress:
        document = calibrate_photos(photos, sheet, progress)
    if json:
        write_json(document)
    else:
        _show(document)
    refused = sum(photo["verdict"] == "refused" for photo in document["photos"])
    raise typer.Exit(exit_code(refused, len(document["photos"])))


def _show(document: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("photo", "verdict", "colour dE00 (raw), model", "mm/px", "tilt", box=SIMPLE_HEAD)
    for photo in document["photos"]:
        scale = photo["scale"]
        table.add_row(
            Path(photo["file"]).name,
            photo["verdict"],
            _colour(photo["colour"]),
            f"{scale['mm_per_px']:.3f}" if scale else "-",
            f"{scale['tilt_deg']:.0f}°" if scale and scale["tilt_deg"] is not None else "-",
        )
    results().print(table)
    for photo in document["photos"]:
        for remark in _remarks(photo):
            warn(f"{photo['file']}: {remark}")


def _remarks(photo: dict[str, Any]) -> list[str]:
    if photo["reason"]:
        return [" ".join((photo["reason"], *photo["remedies"]))]
    reasons = dict.fromkeys((photo["colour_reason"], photo["scale_reason"]))
    return [*(reason for reason in reasons if reason), *photo["remedies"]]


def _colour(colour: dict[str, Any] | None) -> str:
    if colour is None:
        return "-"
    if colour["de00_loo_mean"] is None:
        return str(colour["method"])
    return f"{colour['de00_loo_mean']:.1f} ({colour['de00_raw_mean']:.1f}), {colour['method']}"
