"""EXIF facts: the four that are wanted, and no exception whatever the bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from bsa_vision.photo.exif import CaptureFacts, parse_exif


def block(time: str | None = None, offset: str | None = None, focal: int | None = None) -> bytes:
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    wanted = {
        ExifTags.Base.DateTimeOriginal: time,
        ExifTags.Base.OffsetTimeOriginal: offset,
        ExifTags.Base.FocalLengthIn35mmFilm: focal,
    }
    details.update({tag: value for tag, value in wanted.items() if value is not None})
    return exif.tobytes()


@pytest.mark.parametrize(
    ("time", "offset", "expected"),
    [
        ("2024:03:09 09:37:20", None, "2024-03-09T09:37:20"),
        ("2024:03:09 09:37:20", "-03:30", "2024-03-09T09:37:20-03:30"),
        ("2024:03:09 09:37:20", "summer", "2024-03-09T09:37:20"),
        ("2024:02:30 09:37:20", None, None),
        ("0000:00:00 00:00:00", None, None),
        ("    :  :     :  :  ", None, None),
        ("2024-03-09T09:37:20", None, None),
        ("", "+01:00", None),
        (None, "+01:00", None),
    ],
)
def test_capture_time(time: str | None, offset: str | None, expected: str | None) -> None:
    assert parse_exif(block(time, offset)).captured_at == expected


@pytest.mark.parametrize(("focal", "expected"), [(26, 26.0), (0, None), (None, None)])
def test_focal_length(focal: int | None, expected: float | None) -> None:
    assert parse_exif(block(focal=focal)).focal_35mm == expected


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("stored", "orientation"), [(1, 1), (8, 8), (0, 1), (9, 1)])
def test_orientation_in_both_byte_orders(order: str, stored: int, orientation: int) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHLHH", 0x0112, 3, 1, stored, 0)
    data = mark + struct.pack(f"{order}LH", 8, 1) + entry
    assert parse_exif(data) == CaptureFacts(orientation=orientation)
    assert parse_exif(b"Exif\0\0" + data) == CaptureFacts(orientation=orientation)


def test_absent_and_empty_exif_are_upright_and_unknown() -> None:
    assert parse_exif(None) == parse_exif(b"") == CaptureFacts(1, None, None)


@given(
    prefix=st.sampled_from(
        [b"", b"Exif\0\0", b"Exif\0\0II*\0", b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0"]
    ),
    rest=st.binary(max_size=200),
)
def test_any_bytes_give_possible_facts(prefix: bytes, rest: bytes) -> None:
    facts = parse_exif(prefix + rest)
    assert 1 <= facts.orientation <= 8
    assert facts.focal_35mm is None or facts.focal_35mm > 0


@given(cut=st.integers(0, 400), at=st.integers(0, 399), value=st.integers(0, 255))
def test_damaged_exif_gives_possible_facts(cut: int, at: int, value: int) -> None:
    data = bytearray(block("2024:03:09 09:37:20", "+02:00", 26))
    data[at % len(data)] = value
    facts = parse_exif(bytes(data[:cut]))
    assert 1 <= facts.orientation <= 8
    assert facts.focal_35mm is None or facts.focal_35mm > 0
