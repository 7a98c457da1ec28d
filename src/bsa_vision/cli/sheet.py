"""`bsa-vision sheet`: the calibration sheet, to print at exact scale."""

from pathlib import Path
from typing import Annotated

import typer

from bsa_vision.cli.console import say


def sheet(
    out: Annotated[Path, typer.Argument(metavar="OUT.pdf", help="The PDF to write.")],
) -> None:
    """Write the calibration sheet as a PDF, to print at 100 %."""
    from bsa_vision.app.sheet import write_sheet

    write_sheet(out)
    say(f"{out}: print at 100 % (no fitting to the page), then check the printed ruler.")
