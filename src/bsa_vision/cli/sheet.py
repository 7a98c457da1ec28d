"""`bsa-vision sheet`: the calibration sheet, to print at exact scale."""

from pathlib import Path
from typing import Annotated

import typer

from bsa_vision.cli.console import results


def sheet(
    out: Annotated[Path, typer.Argument(metavar="OUT.pdf", help="The PDF to write.")],
) -> None:
    """Write the calibration sheet as a PDF; print it at 100 % and check its ruler."""
    from bsa_vision.app.sheet import write_sheet

    write_sheet(out)
    results().print(
        f"{out}: print at 100 % (no fitting to the page), then check the printed ruler.",
        markup=False,
        soft_wrap=True,
    )
