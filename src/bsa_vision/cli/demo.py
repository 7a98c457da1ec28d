"""`bsa-vision demo`: the whole chain on a made-up patient."""

from pathlib import Path
from typing import Annotated

import typer

from bsa_vision.cli.console import progress_bars, say
from bsa_vision.cli.score import code_of, show_outcome


def demo(
    out: Annotated[Path, typer.Option(help="Where series and results go.")] = Path("demo-output"),
) -> None:
    """Render and score a small made-up patient."""
    from bsa_vision.app.demo import run_demo

    with progress_bars() as progress:
        done = run_demo(out, progress)
    truth = ", ".join(f"D{day} {value:.1f}" for day, value in done.true_counted_bsa.items())
    say(f"True counted BSA of this made-up patient, percent: {truth}")
    show_outcome(done.outcome)
    raise typer.Exit(code_of([done.outcome]))
