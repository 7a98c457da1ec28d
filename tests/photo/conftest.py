"""Photo files made in the tests, so that what is in them is known exactly."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

SERIAL = "SN-4711-KAMERA"
OWNER = "Erika Mustermann"

# What turns the displayed picture into the stored one, by EXIF orientation (the inverse of what a
# viewer does: CIPA DC-008, tag 0x0112).
STORED_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# As near to lossless as each format gets.
LOSSLESS: dict[str, dict[str, int]] = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "HEIC": {"quality": -1, "chroma": 444},
    "PNG": {},
    "TIFF": {},
}

pillow_heif.register_heif_opener()


@pytest.fixture(scope="session")
def tiles() -> NDArray[np.uint8]:
    """A displayed picture (192, 320, 3) of flat 32-pixel tiles, no two alike."""
    colours = np.random.default_rng(5).integers(40, 216, (6, 10, 3), dtype=np.uint8)
    return colours.repeat(32, axis=0).repeat(32, axis=1)


@pytest.fixture(scope="session")
def camera_exif() -> Callable[[int], bytes]:
    """EXIF as a phone writes it, with everything that must not get out, for an orientation."""

    def build(orientation: int = 1) -> bytes:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        exif[ExifTags.Base.Artist] = OWNER
        details = exif.get_ifd(ExifTags.IFD.Exif)
        details[ExifTags.Base.DateTimeOriginal] = "2024:03:09 09:37:20"
        details[ExifTags.Base.OffsetTimeOriginal] = "+02:00"
        details[ExifTags.Base.FocalLengthIn35mmFilm] = 26
        details[ExifTags.Base.BodySerialNumber] = SERIAL
        details[ExifTags.Base.CameraOwnerName] = OWNER
        details[ExifTags.Base.MakerNote] = SERIAL.encode() * 4
        place = exif.get_ifd(ExifTags.IFD.GPSInfo)
        place[ExifTags.GPS.GPSLatitudeRef] = "N"
        place[ExifTags.GPS.GPSLatitude] = (48.0, 51.0, 23.8)
        place[ExifTags.GPS.GPSLongitudeRef] = "E"
        place[ExifTags.GPS.GPSLongitude] = (2.0, 21.0, 7.9)
        return exif.tobytes()

    return build


@pytest.fixture(scope="session")
def camera_file(
    tmp_path_factory: pytest.TempPathFactory,
    tiles: NDArray[np.uint8],
    camera_exif: Callable[[int], bytes],
) -> Callable[..., Path]:
    """Write the tiles as a camera would: `camera_file(kind, orientation)` gives the path."""
    folder = tmp_path_factory.mktemp("camera")

    def write(kind: str, orientation: int = 1) -> Path:
        image = Image.fromarray(tiles)
        exif = camera_exif(orientation)
        path = folder / f"{orientation}.{kind.lower()}"
        turn = STORED_BY_ORIENTATION.get(orientation)
        stored = image if turn is None else image.transpose(turn)
        # The HEIC encoder turns EXIF orientation into the container's own rotation and mirror.
        stored.save(path, format="HEIF" if kind == "HEIC" else kind, exif=exif, **LOSSLESS[kind])
        return path

    return write


@pytest.fixture(scope="session")
def icc_profile() -> Callable[..., bytes]:
    """Build a small ICC profile: `icc_profile(curve, colorants)`.

    `curve` is the tone curve as uint16 samples; `colorants` the D50 XYZ of red, green and blue as
    rows, or None for a grey profile (ICC.1:2022, 8.3 and 8.4; version 2.4 header).
    """

    def fixed(values: NDArray[np.float64]) -> bytes:
        return b"".join(struct.pack(">l", round(float(value) * 65536)) for value in values)

    def build(curve: NDArray[np.uint16], colorants: NDArray[np.float64] | None = None) -> bytes:
        d50 = np.array([0.9642, 1.0, 0.8249])
        tone = b"curv\0\0\0\0" + struct.pack(">L", len(curve)) + curve.astype(">u2").tobytes()
        name = b"test\0"
        tags = {
            b"desc": b"desc\0\0\0\0" + struct.pack(">L", len(name)) + name + bytes(78),
            b"wtpt": b"XYZ \0\0\0\0" + fixed(d50),
            b"cprt": b"text\0\0\0\0none\0",
        }
        if colorants is None:
            tags[b"kTRC"] = tone
        else:
            for letter, row in zip(b"rgb", colorants, strict=True):
                tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(row)
                tags[bytes([letter]) + b"TRC"] = tone
        table, body = b"", b""
        start = 128 + 4 + 12 * len(tags)
        for tag, payload in tags.items():
            table += tag + struct.pack(">LL", start + len(body), len(payload))
            body += payload + bytes(-len(payload) % 4)
        space = b"GRAY" if colorants is None else b"RGB "
        header = struct.pack(
            ">L4sL4s4s4s12s4s",
            start + len(body),
            bytes(4),
            0x02400000,
            b"mntr",
            space,
            b"XYZ ",
            bytes(12),
            b"acsp",
        )
        header += bytes(68 - len(header)) + fixed(d50)
        return header + bytes(128 - len(header)) + struct.pack(">L", len(tags)) + table + body

    return build
