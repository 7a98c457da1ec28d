"""`bsa-vision phantom`: a made-up patient, photographed."""

from pathlib import Path
from typing import Annotated

import typer

from bsa_vision.cli.console import progress_bars, say


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder of the series; new or empty.")],
    # It is part of the patient's identifier, where more digits could be taken for a date.
    seed: Annotated[
        int, typer.Option(min=0, max=9_999_999, help="The same seed gives the same patient.")
    ],
    small: Annotated[bool, typer.Option("--small", help="Five small views a visit.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 1,
) -> None:
    """Render a made-up patient's photo series with its truth."""
    from bsa_vision.app.phantom import make_phantom

    with progress_bars() as progress:
        make_phantom(out, seed=seed, small=small, workers=workers, progress=progress)
    say(f"Series: {out}")
