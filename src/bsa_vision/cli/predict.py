"""`bsa-vision predict`: photos in, masks out."""

from pathlib import Path
from typing import Annotated

import typer

from bsa_vision.cli.console import ExitCode, exit_code, progress_bars, say, warn, write_json


def predict(
    images: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.")],
    model: Annotated[str, typer.Option(help="Model name or folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the masks, NAME.png.")],
    json: Annotated[bool, typer.Option("--json", help="A JSON document on stdout.")] = False,
) -> None:
    """Write a mask of skin states for each photo."""
    from bsa_vision.app.masks import NOT_WRITTEN, predict_masks, prediction_document

    with progress_bars() as progress:
        outcomes = predict_masks(images, model, out, progress)
    refused = [outcome.refused for outcome in outcomes if outcome.refused is not None]
    if json:
        write_json(prediction_document(outcomes, model))
    else:
        for outcome in outcomes:
            if outcome.refused is not None:
                warn(f"{outcome.photo}: {outcome.refused}")
        say(f"{len(outcomes) - len(refused)} masks in {out}")
    # A mask that could not be written says nothing against its photo.
    unwritten = any(refusal.code == NOT_WRITTEN for refusal in refused)
    code = ExitCode.SOME_FAILED if unwritten else exit_code(len(refused), len(outcomes))
    raise typer.Exit(code)
