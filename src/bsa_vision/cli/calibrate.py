"""`bsa-vision calibrate`: what the colour card and the marker sheet of photos say."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bsa_vision.cli.console import exit_code, progress_bars, results, write_json


def calibrate(
    photos: Annotated[list[Path], typer.Argument(help="Photo files.")],
    sheet: Annotated[
        str | None,
        typer.Option(help="a4-classic, arcu-a3 or arcu-a4-mini; default: recognised."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON document on stdout.")] = False,
) -> None:
    """Find the colour card and the scale sheet in photos and say how well they fit."""
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
    from rich.table import Table

    table = Table()
    for heading in ("photo", "verdict", "colour dE00 (raw), model", "mm/px", "tilt", "remarks"):
        table.add_column(heading, overflow="fold")
    for photo in document["photos"]:
        colour, scale = photo["colour"], photo["scale"]
        table.add_row(
            photo["file"],
            photo["verdict"],
            _colour(colour),
            f"{scale['mm_per_px']:.3f}" if scale else "-",
            f"{scale['tilt_deg']:.0f}°" if scale else "-",
            " ".join(
                text
                for text in (
                    photo["reason"] or photo["colour_reason"],
                    None if photo["reason"] else photo["scale_reason"],
                    *photo["remedies"],
                )
                if text
            ),
        )
    results().print(table)


def _colour(colour: dict[str, Any] | None) -> str:
    if colour is None:
        return "-"
    if colour["de00_loo_mean"] is None:
        return str(colour["method"])
    return f"{colour['de00_loo_mean']:.1f} ({colour['de00_raw_mean']:.1f}), {colour['method']}"
