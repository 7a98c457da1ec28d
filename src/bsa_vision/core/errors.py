"""Expected failures are values with a remedy; bugs are exceptions.

`Refused` is returned where an item (a photo, a card, a fit) cannot be used and work goes on
without it. `InputError` ends a command: the command line prints it and exits with 2.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """Something that could not be used.

    Attributes
    ----------
    code : short, stable, machine-readable, such as ``"photo_truncated"``.
    reason : what was needed and what was got, one sentence.
    remedy : what the reader should do next, one sentence.
    """

    code: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason} {self.remedy}"


class InputError(Exception):
    """The command cannot start or go on with what it was given (exit code 2)."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason} {remedy}".strip())
        self.reason = reason
        self.remedy = remedy
