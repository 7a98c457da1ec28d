"""EXIF facts: those that are wanted, and no exception whatever the bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from bsa_vision.photo.exif import CaptureFacts, parse_exif


def block(time: str | None = None, offset: str | None = None, focal: int | None = None) -> bytes:
    return written(
        {
            ExifTags.Base.DateTimeOriginal: time,
            ExifTags.Base.OffsetTimeOriginal: offset,
            ExifTags.Base.FocalLengthIn35mmFilm: focal,
        }
    )


def written(tags: dict[int, object]) -> bytes:
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details.update({tag: value for tag, value in tags.items() if value is not None})
    return exif.tobytes()


#: A 50 mm lens on a 36 x 24 mm sensor of 6000 x 4000 pixels, 166.67 to the millimetre.
FULL_FRAME = {
    ExifTags.Base.FocalLength: IFDRational(50),
    ExifTags.Base.ExifImageWidth: 6000,
    ExifTags.Base.ExifImageHeight: 4000,
    ExifTags.Base.FocalPlaneXResolution: IFDRational(6000 * 254, 360),
    ExifTags.Base.FocalPlaneResolutionUnit: 2,
}
PER_CM = {
    ExifTags.Base.FocalPlaneXResolution: IFDRational(60000, 36),
    ExifTags.Base.FocalPlaneResolutionUnit: 3,
}


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


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, 50),
        (PER_CM, 50),
        ({ExifTags.Base.FocalPlaneResolutionUnit: None}, 50),  # inches
        # On 22.3 x 14.9 mm the same lens shows 1.61 times less.
        ({ExifTags.Base.FocalPlaneXResolution: IFDRational(6000 * 254, 223)}, 50 * 36 / 22.3),
        # What the camera says of the equivalent itself rules; 0 says nothing.
        ({ExifTags.Base.FocalLengthIn35mmFilm: 51}, 51),
        ({ExifTags.Base.FocalLengthIn35mmFilm: 0}, 50),
        # A unit that is none, a sensor of 360 mm, a lens of 2 m, nothing to divide by.
        ({ExifTags.Base.FocalPlaneResolutionUnit: 1}, None),
        ({ExifTags.Base.FocalPlaneXResolution: IFDRational(6000 * 254, 3600)}, None),
        ({ExifTags.Base.FocalLength: IFDRational(2000)}, None),
        ({ExifTags.Base.FocalLength: IFDRational(0, 0)}, None),
        ({ExifTags.Base.FocalPlaneXResolution: IFDRational(0)}, None),
        ({ExifTags.Base.FocalLength: None}, None),
        ({ExifTags.Base.ExifImageWidth: None}, None),
        ({ExifTags.Base.FocalPlaneXResolution: None}, None),
    ],
)
def test_focal_length_from_lens_and_sensor(
    changed: dict[int, object], expected: float | None
) -> None:
    found = parse_exif(written({**FULL_FRAME, **changed})).focal_35mm
    # 43.267 mm is the diagonal to five digits.
    assert found == (None if expected is None else pytest.approx(expected, rel=2e-5))


@pytest.mark.parametrize(
    ("size", "crop"),
    [
        ((4032, 3024), False),
        ((1008, 756), False),
        ((101, 76), False),  # 100.8 and 75.6 rounded
        ((3024, 4032), False),  # turned
        ((4032, 2268), True),
        ((2000, 2000), True),
        ((3800, 3024), True),
    ],
)
def test_a_crop_shows_in_the_aspect_ratio(size: tuple[int, int], crop: bool) -> None:
    facts = parse_exif(
        written({ExifTags.Base.ExifImageWidth: 4032, ExifTags.Base.ExifImageHeight: 3024})
    )
    assert facts.pixel_size == (4032, 3024)
    assert facts.is_crop(size) == crop
    assert not CaptureFacts().is_crop(size)


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
    data = bytearray(written({ExifTags.Base.DateTimeOriginal: "2024:03:09 09:37:20", **FULL_FRAME}))
    data[at % len(data)] = value
    facts = parse_exif(bytes(data[:cut]))
    assert 1 <= facts.orientation <= 8
    assert facts.focal_35mm is None or facts.focal_35mm > 0
