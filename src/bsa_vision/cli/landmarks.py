"""`bsa-vision landmarks`: the named points of the body surface."""

from typing import Annotated

import typer

from bsa_vision.cli.console import results, write_json


def landmarks(
    json: Annotated[bool, typer.Option("--json", help="A JSON document on stdout.")] = False,
) -> None:
    """List the surface landmarks that photos are placed by."""
    from bsa_vision.app.landmarks import landmarks_document

    document = landmarks_document()
    if json:
        write_json(document)
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("landmark", "where it is", box=SIMPLE_HEAD)
    for landmark in document["landmarks"]:
        table.add_row(landmark["name"], landmark["meaning"])
    results().print(table)
