"""A made-up patient's series as a folder."""

import shutil
from pathlib import Path

from bsa_vision.app.progress import Progress, ProgressEvent
from bsa_vision.core.errors import InputError
from bsa_vision.phantom.folder import RECORD
from bsa_vision.phantom.series import DAYS, SMALL_SIZE, SMALL_VIEWS, render_series
from bsa_vision.phantom.views import DEFAULT_VIEWS

#: (width, height) of portrait photos: what phones give, reduced to what measuring needs.
FULL_SIZE = (1500, 2000)


def make_phantom(out: Path, *, seed: int, small: bool, workers: int, progress: Progress) -> Path:
    """Render a made-up patient's visits with their truth.

    Parameters
    ----------
    out : the series folder; new or empty.
    seed : the same seed gives the same files, whatever the number of workers.
    small : five views of 600 x 800 pixels instead of fourteen of 1500 x 2000.
    workers : processes side by side.
    progress : told after each photo.

    Returns
    -------
    The path of ``series.json``.

    Raises
    ------
    InputError
        When `out` holds something, or cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        reason = f"{out}: needed a new or empty folder."
        raise InputError(reason, "Choose another one, or empty it.")
    return render_phantom(out, seed=seed, small=small, workers=workers, progress=progress)


def render_phantom(out: Path, *, seed: int, small: bool, workers: int, progress: Progress) -> Path:
    """Render as `make_phantom` does; an earlier rendering in the folder is removed first."""
    views, size = (SMALL_VIEWS, SMALL_SIZE) if small else (DEFAULT_VIEWS, FULL_SIZE)
    try:
        if (out / RECORD).is_file():
            shutil.rmtree(out)
        return render_series(
            out,
            seed,
            DAYS,
            views,
            size,
            workers=workers,
            progress=lambda done, total: progress(
                ProgressEvent("rendering", out.name, done, total)
            ),
        )
    except OSError as error:
        reason = f"{error.filename or out}: cannot be written: {error.strerror or error}."
        raise InputError(reason, "Choose a folder that can be written.") from None
