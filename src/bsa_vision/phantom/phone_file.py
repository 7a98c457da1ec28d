"""JPEG files as a phone writes them: orientation, focal length, time and place in EXIF."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

#: Transposition that stores displayed pixels for an EXIF orientation.
_STORED = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
_FIRST_DAY = datetime(2024, 3, 4, 9, 30, tzinfo=UTC)


def write_phone_jpeg(
    file: Path | BinaryIO,
    pixels: NDArray[np.uint8],
    *,
    focal_35mm: int,
    orientation: int,
    day: int,
    quality: int,
) -> None:
    """Write a photo.

    Parameters
    ----------
    file : its path, or an open file.
    pixels : (H, W, 3) sRGB as displayed.
    focal_35mm : 35 mm equivalent focal length.
    orientation : EXIF code 1, 3, 6 or 8; the stored pixels are turned accordingly.
    day : days after the first visit, for the capture time.
    quality : JPEG quality.

    Raises
    ------
    KeyError
        For another orientation.
    """
    image = Image.fromarray(pixels)
    turn = _STORED[orientation]
    if turn is not None:
        image = image.transpose(turn)
    exif = Image.Exif()
    taken = (_FIRST_DAY + timedelta(days=day)).strftime("%Y:%m:%d %H:%M:%S")
    exif[ExifTags.Base.Make] = "Phantom"
    exif[ExifTags.Base.Model] = "Phantom"
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.DateTime] = taken
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = taken
    details[ExifTags.Base.FocalLengthIn35mmFilm] = focal_35mm
    details[ExifTags.Base.ExifImageWidth] = image.width
    details[ExifTags.Base.ExifImageHeight] = image.height
    # A made-up place, so that tests can see that it is dropped.
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef] = "N"
    place[ExifTags.GPS.GPSLatitude] = (0.0, 7.0, 19.0)
    place[ExifTags.GPS.GPSLongitudeRef] = "W"
    place[ExifTags.GPS.GPSLongitude] = (30.0, 11.0, 23.0)
    image.save(file, format="JPEG", quality=quality, exif=exif, subsampling=2)
