"""The folder of a rendering: its settings first, then its files, each whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision import __version__
from bsa_vision.core.errors import InputError
from bsa_vision.core.files import write_whole
from bsa_vision.core.provenance import canonical_json, document_digest, sha256_hex

RECORD = "rendering.json"
FORMAT = "bsa-vision-rendering/1"


def claim_folder(out: Path, settings: Mapping[str, Any], photos: str) -> None:
    """Record what a folder is rendered with, or check that it was begun with the same.

    Parameters
    ----------
    out : the folder, made when missing.
    settings : JSON-able; with the version of the software they decide every file.
    photos : pattern of the photos' paths in `out`.

    Raises
    ------
    InputError
        When `out` holds a rendering with other settings, or photos without a record of theirs.
    """
    record = out / RECORD
    document = {"format": FORMAT, "software": __version__, **settings}
    text = canonical_json(document).encode()
    remedy = "Choose another folder, or remove this one."
    if record.exists():
        if record.read_bytes() != text:
            reason = f"{out}: begun with other settings ({_differing(record, text)})."
            raise InputError(reason, remedy)
        return
    if any(out.glob(photos)):
        reason = f"{out}: holds photos, and no {RECORD} that says what they were rendered with."
        raise InputError(reason, remedy)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(record, text)


def _differing(record: Path, wanted: bytes) -> str:
    """Names of the settings that differ."""
    new = json.loads(wanted)
    try:
        old = dict(json.loads(record.read_bytes()))
    except (ValueError, TypeError):
        return f"{RECORD} cannot be read"
    return ", ".join(sorted(k for k in new.keys() | old.keys() if new.get(k) != old.get(k)))


def textures_digest(textures: Path | None) -> str | None:
    """Digest of the names and contents of the skin maps in a folder."""
    if textures is None:
        return None
    maps = sorted(textures.glob("*.png"))
    return document_digest({path.name: sha256_hex(path.read_bytes()) for path in maps})


def write_picture(
    file: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], options: Sequence[int] = ()
) -> None:
    """Write pixels (H, W) or (H, W, 3) BGR as the file's ending says, whole or not at all.

    Raises
    ------
    OSError
        When the picture cannot be encoded or written.
    """
    encoded, data = cv2.imencode(file.suffix, pixels, list(options))
    if not encoded:
        message = f"{file}: a picture of {pixels.shape} could not be encoded"
        raise OSError(message)
    write_whole(file, data.tobytes())
