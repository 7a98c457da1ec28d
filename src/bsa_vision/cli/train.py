"""`bsa-vision train`: a training folder in, a model out."""

from pathlib import Path
from typing import Annotated

import typer

from bsa_vision.cli.console import say, warn
from bsa_vision.core.errors import InputError


def train(
    data: Annotated[Path, typer.Option(help="Training folder: images, masks, dataset.json.")],
    out: Annotated[Path, typer.Option(help="Folder of the model; a run begun there goes on.")],
    init: Annotated[
        str | None, typer.Option(help="Model to start from, by name or folder.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps at most; by default what suits the images.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.1, help="Training time at most.")] = None,
    long_side: Annotated[
        int | None,
        typer.Option(min=128, max=4096, help="Resolution: network pixels of a photo's long side."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and the crops.")] = 0,
) -> None:
    """Train or fine-tune a segmentation model (extra `train`)."""
    try:
        from bsa_vision.app.train import train_model
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("bsa_vision"):
            raise
        reason = f"Training needs the package {error.name}, which is not installed."
        raise InputError(reason, "Install the extra: pip install 'bsa-vision[train]'.") from None

    model = train_model(
        data,
        out,
        init=init,
        steps=steps,
        minutes=minutes,
        long_side=long_side,
        seed=seed,
        report=lambda line: warn(line, style="none"),
    )
    say(f"Model: {model}")
