"""A saved copy holds pixels and nothing else, judged from the bytes of the file."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bsa_vision.photo.decode import read_photo
from bsa_vision.photo.deidentify import save_without_identifiers
from bsa_vision.photo.records import Photo


@pytest.fixture
def photo(camera_file: Callable[..., Path]) -> Photo:
    path = camera_file("JPEG", 6)
    # The original does carry what must not get out.
    assert b"SN-4711-KAMERA" in path.read_bytes()
    with Image.open(path) as original:
        assert original.getexif().get_ifd(0x8825)
    photo = read_photo(path)
    assert isinstance(photo, Photo)
    return photo


@pytest.mark.parametrize("name", ["copy.jpg", "copy.JPEG", "copy.png"])
def test_copy_holds_no_metadata(name: str, photo: Photo, tmp_path: Path) -> None:
    path = tmp_path / name
    save_without_identifiers(photo, path)
    data = path.read_bytes()
    for trace in (b"Exif", b"SN-4711", b"Mustermann", b"2024:03", b"ICC_PROFILE", b"xmp", b"eXIf"):
        assert trace not in data
    with Image.open(path) as copy:
        assert not copy.getexif()
        assert not copy.getexif().get_ifd(0x8825)
        assert copy.size == (320, 192)


def test_png_copy_is_exact_and_has_only_the_chunks_of_pixels(photo: Photo, tmp_path: Path) -> None:
    path = tmp_path / "copy.png"
    save_without_identifiers(photo, path)
    data, position, kinds = path.read_bytes(), 8, set()
    while position < len(data):
        kinds.add(data[position + 4 : position + 8])
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    assert kinds == {b"IHDR", b"IDAT", b"IEND"}
    copy = read_photo(path)
    assert isinstance(copy, Photo)
    assert (copy.pixels == photo.pixels).all()
    assert (copy.captured_at, copy.focal_px) == (None, None)


def test_jpeg_copy_has_no_application_segment_but_jfif(photo: Photo, tmp_path: Path) -> None:
    path = tmp_path / "copy.jpg"
    save_without_identifiers(photo, path)
    header = path.read_bytes().split(b"\xff\xda")[0]
    # Application segments are FFE0 to FFEF, comments FFFE.
    assert re.findall(rb"\xff[\xe0-\xef\xfe]", header) == [b"\xff\xe0"]
    copy = read_photo(path)
    assert isinstance(copy, Photo)
    # Flat tiles have only a DC term, in steps of 3/8 level at quality 90: an error of 0.2 in Y, Cb
    # and Cr, at most 0.6 in a colour, on top of the 2 levels of rounding in those coordinates.
    assert np.abs(copy.pixels.astype(int) - photo.pixels).max() <= 3


def test_other_names_are_refused(photo: Photo, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.png"):
        save_without_identifiers(photo, tmp_path / "copy.tiff")
