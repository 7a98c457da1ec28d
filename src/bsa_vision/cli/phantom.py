"""`bsa-vision phantom`: a made-up patient, photographed."""

from pathlib import Path
from typing import Annotated

import typer

from bsa_vision.cli.console import progress_bars, say


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder of the series; new or empty.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same patient.")],
    width: Annotated[int, typer.Option(min=160, help="Of a landscape photo, pixels.")] = 2048,
) -> None:
    """Render a made-up patient's photo series with its truth."""
    from bsa_vision.app.phantom import make_phantom

    with progress_bars() as progress:
        make_phantom(out, seed=seed, width=width, progress=progress)
    say(f"Series: {out}")
