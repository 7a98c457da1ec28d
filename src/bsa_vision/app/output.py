"""Output folders: checked before hours of work depend on them."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from bsa_vision.core.errors import InputError


def make_writable(folder: Path) -> None:
    """Make a folder where there is none, and try that files can be written into it.

    Raises
    ------
    InputError
        When it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = f"{folder}: cannot be written: {error.strerror}."
        raise InputError(reason, "Choose a folder that can be written.") from None


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over what is read.

    Raises
    ------
    InputError
        When an output is, links followed, one of the inputs.
    """
    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in read:
            reason = f"{path}: the output would be written over the input."
            raise InputError(reason, "Choose another output folder.")
