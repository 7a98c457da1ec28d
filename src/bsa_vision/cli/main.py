"""The `bsa-vision` program: assembles the commands and turns failures into messages.

Commands import what they run when they run, so that help and completion answer at once.
"""

import sys
from typing import Annotated

import typer

from bsa_vision import __version__
from bsa_vision.cli import (
    calibrate,
    demo,
    evaluate,
    landmarks,
    models,
    phantom,
    predict,
    score,
    sheet,
    train,
)
from bsa_vision.cli.console import ExitCode, warn
from bsa_vision.core.errors import InputError

app = typer.Typer(
    name="bsa-vision",
    no_args_is_help=True,
    # Plain help: the boxes of rich cost a third of the time until help answers.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Affected body-surface area and re-epithelialisation, measured from photographs.",
    epilog="Exit codes: 0 done; 1 a bug; 2 bad usage or input; 3 done, but some items failed; "
    "4 everything, or the promotion of a model, was refused.",
)
for command in (
    score.score,
    calibrate.calibrate,
    predict.predict,
    evaluate.evaluate,
    train.train,
    landmarks.landmarks,
    phantom.phantom,
    sheet.sheet,
    demo.demo,
):
    app.command()(command)
app.add_typer(models.models, name="models")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bsa-vision {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    # Both are acted on elsewhere: `version` in its callback, `debug` in `run`, which must know it
    # after the command is gone.
    del debug, version


def run() -> None:
    """Run the program and leave with one of `ExitCode`."""
    try:
        app()
    except InputError as error:
        warn(f"bsa-vision: {error}", style="red")
        sys.exit(ExitCode.BAD_INPUT)
    except Exception as error:
        if "--debug" in sys.argv[1:]:
            raise
        warn(
            f"bsa-vision: unexpected {type(error).__name__}: {error}\n"
            "This is a bug. Run `bsa-vision --debug ...` to see where it happened.",
            style="red",
        )
        sys.exit(ExitCode.BUG)


if __name__ == "__main__":
    run()
