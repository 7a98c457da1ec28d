"""How far a long command is, told to whoever shows it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressEvent:
    """One step of one item is done.

    Attributes
    ----------
    item : what is worked on, such as a series' folder name; one progress bar each.
    stage : what happens to it now, in a word or two.
    done, total : steps finished and steps in all for this item.
    """

    item: str
    stage: str
    done: int
    total: int


Progress = Callable[[ProgressEvent], None]


def silent(event: ProgressEvent) -> None:
    """Show nothing."""
