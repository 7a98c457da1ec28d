"""What the commands share: exit codes, the two output streams, progress bars.

Results go to stdout and nothing else does, so that ``--json`` can be piped; progress and messages
go to stderr.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from bsa_vision.app.progress import Progress, ProgressEvent
from bsa_vision.core.provenance import canonical_json

if TYPE_CHECKING:
    from rich.console import Console


class ExitCode(IntEnum):
    """What the caller learns without reading the output."""

    DONE = 0
    BUG = 1
    BAD_INPUT = 2
    SOME_FAILED = 3
    #: Every item by quality checks, or a model by the gate.
    ALL_REFUSED = 4


def exit_code(failed: int, total: int) -> ExitCode:
    """The code for `failed` items out of `total`."""
    if not failed:
        return ExitCode.DONE
    return ExitCode.ALL_REFUSED if failed == total else ExitCode.SOME_FAILED


def results() -> "Console":
    """The console of results (stdout)."""
    from rich.console import Console

    return Console()


def messages() -> "Console":
    """The console of progress and messages (stderr)."""
    from rich.console import Console

    return Console(stderr=True)


def say(text: str) -> None:
    """Put a line among the results, as it is: no markup, no folding."""
    results().print(text, markup=False, highlight=False, soft_wrap=True)


def warn(text: str, style: str = "yellow") -> None:
    """Put a line among the messages, as it is."""
    messages().print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def write_json(document: dict[str, Any]) -> None:
    """Put one document on stdout."""
    sys.stdout.write(canonical_json(document))


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Bars on stderr, one per item, for as long as the block runs."""
    from rich import progress as bar

    columns = (
        bar.TextColumn("{task.description}"),
        bar.BarColumn(),
        bar.MofNCompleteColumn(),
        bar.TimeElapsedColumn(),
        bar.TextColumn("{task.fields[stage]}"),
    )
    with bar.Progress(*columns, console=messages()) as bars:
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
