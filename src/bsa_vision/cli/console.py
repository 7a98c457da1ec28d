"""What the commands share: exit codes, the two output streams, progress bars.

Results go to stdout and nothing else does, so that ``--json`` can be piped; progress and messages
go to stderr.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bsa_vision.app.progress import Progress as ShowProgress
from bsa_vision.app.progress import ProgressEvent
from bsa_vision.core.provenance import canonical_json


class ExitCode(IntEnum):
    """What the caller learns without reading the output."""

    DONE = 0
    BUG = 1
    BAD_INPUT = 2
    SOME_FAILED = 3
    ALL_REFUSED = 4


def exit_code(failed: int, total: int) -> ExitCode:
    """The code for `failed` items out of `total`."""
    if not failed:
        return ExitCode.DONE
    return ExitCode.ALL_REFUSED if failed == total else ExitCode.SOME_FAILED


def results() -> Console:
    """The console of results (stdout)."""
    return Console()


def messages() -> Console:
    """The console of progress and messages (stderr)."""
    return Console(stderr=True)


def write_json(document: dict[str, Any]) -> None:
    """Put one document on stdout."""
    sys.stdout.write(canonical_json(document))


@contextmanager
def progress_bars() -> Iterator[ShowProgress]:
    """Bars on stderr, one per item, for as long as the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[stage]}"),
    )
    with Progress(*columns, console=messages()) as bars:
        tasks: dict[str, Any] = {}

        def show(event: ProgressEvent) -> None:
            if event.item not in tasks:
                tasks[event.item] = bars.add_task(event.item, stage="")
            bars.update(
                tasks[event.item],
                completed=event.done,
                total=event.total,
                stage=event.stage if event.done < event.total else "",
            )

        yield show
