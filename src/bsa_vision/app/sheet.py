"""The calibration sheet as a file."""

from pathlib import Path

from bsa_vision.calibration.sheet_pdf import write_sheet_pdf
from bsa_vision.core.errors import InputError


def write_sheet(path: Path) -> None:
    """Write the printable sheet.

    Raises
    ------
    InputError
        When the folder does not exist or the file cannot be written.
    """
    if path.suffix.lower() != ".pdf":
        reason = f"{path}: needed a file name ending in .pdf."
        raise InputError(reason, "Name it sheet.pdf.")
    try:
        write_sheet_pdf(path)
    except OSError as error:
        reason = f"{path}: cannot be written: {error.strerror}."
        raise InputError(reason, "Choose an existing, writable folder.") from None
