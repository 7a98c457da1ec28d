"""`bsa-vision models`: which models there are, adding one, and making one the default."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bsa_vision.cli.console import ExitCode, progress_bars, results, say, warn, write_json
from bsa_vision.core.errors import InputError

models = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List and install models; make one the default.",
)


@models.command("list")
def list_models(
    json: Annotated[bool, typer.Option("--json", help="A JSON document on stdout.")] = False,
) -> None:
    """List the installed models; * is the one used where none is named."""
    from bsa_vision.app.models import models_document

    document = models_document()
    if json:
        write_json(document)
        return
    _show_models(document["models"])
    if document["default"]["reason"]:
        warn(document["default"]["reason"])


@models.command("install")
def install(folder: Annotated[Path, typer.Argument(help="Folder of a model.")]) -> None:
    """Copy a model into your own folder of models, under the name on its card."""
    from bsa_vision.app.models import install as install_model

    done = install_model(folder)
    say(f"{'Installed' if done.new else 'Already installed'}: {done.model} in {done.folder}")


@models.command("promote")
def promote(
    name: Annotated[str, typer.Argument(help="Name of an installed model.")],
    locked: Annotated[
        Path, typer.Option(help="Training folder of patients that no model was trained on.")
    ],
    json: Annotated[bool, typer.Option("--json", help="A JSON document on stdout.")] = False,
) -> None:
    """Make a model the default when it is no worse than the present one in any group."""
    try:
        from bsa_vision.app.promotion import promote_model
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("bsa_vision"):
            raise
        reason = f"Reading a training folder needs {error.name}, which is not installed."
        raise InputError(reason, "Install the extra: pip install 'bsa-vision[train]'.") from None

    with progress_bars() as progress:
        document = promote_model(name, locked, progress)
    if json:
        write_json(document)
    else:
        _show_verdict(document)
    raise typer.Exit(ExitCode.DONE if document["passed"] else ExitCode.ALL_REFUSED)


def _show_models(rows: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "name", "digest", "classes", "state", "root", box=SIMPLE_HEAD)
    # The end of a path says most.
    table.columns[-1].overflow = "fold"
    for row in rows:
        table.add_row(
            "*" if row["default"] else "",
            escape(row["name"]),
            (row["digest"] or "-")[:12],
            escape(_classes(row)),
            row["state"],
            escape(row["root"]),
        )
    results().print(table)
    for row in rows:
        if row["reason"]:
            warn(f"{row['name']}: {row['reason']}")


def _classes(row: dict[str, Any]) -> str:
    if row["classes"] is None:
        return "-"
    return "skin states" if row["scores_skin"] else ", ".join(row["classes"].values())


def _show_verdict(document: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    measures = ("current", "candidate", "difference", "low")
    table = Table(box=None, pad_edge=False)
    table.add_column("photos", overflow="fold")
    for heading in ("patients", "images", *measures):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    for row in document["strata"]:
        values = ("-" if row[name] is None else f"{row[name]:.4f}" for name in measures)
        counts = (str(row["patients"]), str(row["images"]))
        table.add_row(escape(row["name"]), *counts, *values, _verdict(row))
    results().print(table)
    for photo in document["locked"]["left_out"]:
        warn(f"Left out: {photo['name']}: {photo['reason']}")
    current, candidate = (
        f"{document[which]['name']} ({document[which]['digest'][:12]})"
        for which in ("current", "candidate")
    )
    if document["passed"]:
        say(f"Promoted: {candidate} is the default now, in place of {current}.")
    else:
        worse = ", ".join(document["failing"])
        say(f"Not promoted: {candidate} may be worse than {current} in {worse}. Nothing changed.")


def _verdict(row: dict[str, Any]) -> str:
    said = {True: "not worse", False: "WORSE", None: "nothing to compare"}[row["not_worse"]]
    return f"{said}, few patients" if row["few"] else said
