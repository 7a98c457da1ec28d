"""Write a photo's pixels without anything that could tell whose or where they are."""

import io
from pathlib import Path

from PIL import Image

from bsa_vision.photo.records import Photo

FORMAT_OF_SUFFIX = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
# Visually lossless for skin at report size; chroma is kept at full resolution because redness is
# what the reader looks at.
JPEG_OPTIONS = {"quality": 90, "subsampling": 0}


def save_without_identifiers(photo: Photo, path: Path) -> None:
    """Write `photo.pixels` re-encoded to a PNG or JPEG file that holds pixels only.

    No EXIF, GPS, XMP, comment, colour profile or thumbnail is written: the file is made from the
    pixel array, never from the original file. The pixels are sRGB, which is what readers assume.

    Raises
    ------
    ValueError
        If the name ends in neither .jpg, .jpeg nor .png.
    OSError
        If the file cannot be written.
    """
    kind = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if kind is None:
        msg = f"need a name ending in .jpg, .jpeg or .png, got {path.name}"
        raise ValueError(msg)
    encoded = io.BytesIO()
    options = JPEG_OPTIONS if kind == "JPEG" else {}
    Image.fromarray(photo.pixels).save(encoded, format=kind, **options)
    path.write_bytes(encoded.getvalue())
