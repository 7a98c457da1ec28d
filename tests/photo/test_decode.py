"""What a decoded photo shows: upright once, in sRGB, at the size asked for."""

import io
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from bsa_vision.core.errors import Refused
from bsa_vision.photo.decode import read_photo
from bsa_vision.photo.records import Photo

# Flat tiles aligned with the 8-pixel blocks survive JPEG at quality 100 (and lossless HEVC in
# YCbCr) up to the rounding of Y, Cb and Cr to whole levels: 0.5 + 1.772 * 0.5 for the worst
# channel, blue, and 0.5 for rounding back: below 2.
YCC_ROUNDING = 2
TOLERANCE = {"JPEG": YCC_ROUNDING, "HEIC": YCC_ROUNDING, "PNG": 0, "TIFF": 0}

# XYZ (D50) of the primaries, as rows: sRGB from IEC 61966-2-1 and Display P3 from SMPTE EG 432-1
# with the D65 white of both, adapted with Bradford.
SRGB_D50 = np.array(
    [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]
)
DISPLAY_P3_D50 = np.array(
    [[0.51512, 0.24120, -0.00105], [0.29198, 0.69225, 0.04189], [0.15710, 0.06657, 0.78407]]
)


def read(path: Path, max_side: int | None = None) -> Photo:
    photo = read_photo(path, max_side)
    assert isinstance(photo, Photo), str(photo)
    return photo


def srgb_to_linear(encoded: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(linear, 0, 1)
    return np.where(
        clipped <= 0.0031308, clipped * 12.92, 1.055 * np.power(clipped, 1 / 2.4) - 0.055
    )


def furthest(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(np.int16) - b).max())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "HEIC"])
@pytest.mark.parametrize("part", [1, 2, 4])
def test_every_orientation_is_applied_exactly_once(
    kind: str,
    orientation: int,
    part: int,
    camera_file: Callable[..., Path],
    tiles: NDArray[np.uint8],
) -> None:
    photo = read(camera_file(kind, orientation), max_side=320 // part)
    assert photo.pixels.shape == (192 // part, 320 // part, 3)
    # Tiles are whole multiples of the reduction, so averaging keeps them flat.
    assert furthest(photo.pixels, tiles[::part, ::part]) <= TOLERANCE[kind]
    assert photo.full_size == (320, 192)
    assert photo.scale == 1 / part


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "HEIC"])
def test_record_holds_the_capture_facts_and_nothing_else(
    kind: str, camera_file: Callable[..., Path]
) -> None:
    path = camera_file(kind, 6)
    photo = read(path)
    assert photo.captured_at == "2024-03-09T09:37:20+02:00"
    # 26 mm of a frame whose diagonal is sqrt(36^2 + 24^2) = 43.267 mm; diagonal of 320 x 192 px.
    assert photo.focal_px == pytest.approx(26 / 43.267 * np.hypot(320, 192), rel=1e-9)
    assert photo.digest == sha256(path.read_bytes()).hexdigest()
    assert photo.source_format == kind
    assert {field.name for field in fields(photo)} == {
        "pixels",
        "digest",
        "full_size",
        "captured_at",
        "focal_px",
        "source_format",
    }
    assert not photo.pixels.flags.writeable


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "HEIC"])
@pytest.mark.parametrize(("taken", "known"), [((640, 384), True), ((640, 480), False)])
def test_the_focal_length_of_a_cropped_photo_is_unknown(
    kind: str, taken: tuple[int, int], known: bool, tiles: NDArray[np.uint8], tmp_path: Path
) -> None:
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.FocalLengthIn35mmFilm] = 26
    details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = taken
    path, written = tmp_path / "photo", "HEIF" if kind == "HEIC" else kind
    Image.fromarray(tiles).save(path, format=written, exif=exif.tobytes())
    photo = read(path)
    assert photo.full_size == (320, 192)
    assert (photo.focal_px is not None) == known


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "HEIC"])
def test_format_is_that_of_the_content_not_of_the_name(
    kind: str, camera_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "mislabelled.bmp"
    path.write_bytes(camera_file(kind).read_bytes())
    assert read(path).source_format == kind


@pytest.mark.parametrize(
    ("max_side", "size"), [(1000, (320, 192)), (320, (320, 192)), (100, (100, 60)), (1, (1, 1))]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_long_side_is_exact_and_never_enlarged(
    kind: str, max_side: int, size: tuple[int, int], camera_file: Callable[..., Path]
) -> None:
    photo = read(camera_file(kind), max_side)
    assert (photo.pixels.shape[1], photo.pixels.shape[0]) == size
    assert photo.full_size == (320, 192)


def test_max_side_must_be_positive(camera_file: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="max_side"):
        read_photo(camera_file("JPEG"), max_side=0)


@pytest.mark.parametrize("width", [800, 803, 804])
def test_small_decoding_does_not_stretch_the_picture(width: int, tmp_path: Path) -> None:
    """A bright bar near the far edge stays where it was, whatever the decoder's shortcut."""
    picture = np.zeros((200, width, 3), np.uint8)
    picture[:, width - 40 : width - 20] = 255
    path = tmp_path / "bar.jpg"
    Image.fromarray(picture).save(path, quality=100, subsampling=0)
    photo = read(path, max_side=100)
    edges = np.linspace(0, width, 101)
    bar = np.clip(edges, width - 40, width - 20)
    expected = 255 * np.diff(bar) / np.diff(edges)
    # Rounding in JPEG's colours, and once more in averaging. A stretch by the half pixel that a
    # decoder may add at the far edge would move the bar's flanks by 100 levels.
    assert np.abs(photo.pixels[:, :, 1] - expected).max() <= YCC_ROUNDING + 1


@pytest.mark.parametrize("max_side", [None, 160])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_display_p3_becomes_srgb(
    kind: str,
    max_side: int | None,
    tiles: NDArray[np.uint8],
    icc_profile: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    curve = np.round(srgb_to_linear(np.linspace(0, 1, 4096)) * 65535).astype(np.uint16)
    path = tmp_path / "p3.img"
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    image = Image.fromarray(tiles)
    image.save(path, format=kind, **options)
    stored = read(path, max_side).pixels
    image.save(path, format=kind, icc_profile=icc_profile(curve, DISPLAY_P3_D50), **options)
    pixels = read(path, max_side).pixels
    linear = srgb_to_linear(stored / 255) @ DISPLAY_P3_D50 @ np.linalg.inv(SRGB_D50)
    expected = linear_to_srgb(linear) * 255
    # Below 0.02 the curve is so steep that the profiles' 16-bit primaries show.
    inside = ((linear > 0.02) & (linear < 1)).all(axis=2)
    assert inside.mean() > 0.5
    # Half a level from rounding, half from the colour engine's fixed-point numbers.
    assert np.abs(pixels - expected)[inside].max() <= 1
    # A profile that is ignored would fail.
    assert np.abs(stored - expected)[inside].max() > 10


def test_srgb_profile_and_unusable_profiles_change_nothing(
    tiles: NDArray[np.uint8], icc_profile: Callable[..., bytes], tmp_path: Path
) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = icc_profile(np.array([0, 65535], np.uint16))
    for profile in (srgb, grey, b"no profile at all", srgb[:200]):
        path = tmp_path / "profile.png"
        Image.fromarray(tiles).save(path, icc_profile=profile)
        assert furthest(read(path).pixels, tiles) == 0


def test_linear_grey_profile_is_honoured(
    tiles: NDArray[np.uint8], icc_profile: Callable[..., bytes], tmp_path: Path
) -> None:
    grey = tiles[:, :, 0]
    path = tmp_path / "grey.png"
    Image.fromarray(grey).save(path, icc_profile=icc_profile(np.array([0, 65535], np.uint16)))
    expected = np.round(linear_to_srgb(grey / 255) * 255).astype(np.uint8)
    pixels = read(path).pixels
    assert (pixels == pixels[:, :, :1]).all()
    # One level from lcms's 16-bit path through Lab lightness, which it rounds.
    assert furthest(pixels[:, :, 0], expected) <= 1


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_colour_keeps_the_upper_8_bits(suffix: str, tmp_path: Path) -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (80, 96, 3), dtype=np.uint16)
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), deep[:, :, ::-1])
    assert furthest(read(path).pixels, (deep >> 8).astype(np.uint8)) == 0


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_grey_keeps_the_upper_8_bits(suffix: str, tmp_path: Path) -> None:
    deep = np.random.default_rng(3).integers(0, 65536, (80, 96), dtype=np.uint16)
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(deep).save(path)
    expected = np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    assert furthest(read(path).pixels, expected) == 0


def test_grey_bilevel_palette_and_alpha(tiles: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "mode.png"
    grey = tiles[:, :, 0]
    Image.fromarray(grey).save(path)
    assert (read(path).pixels == grey[:, :, None]).all()

    Image.fromarray(grey > 128).save(path)
    assert (read(path).pixels == np.where(grey > 128, 255, 0)[:, :, None]).all()

    # 60 tiles, 60 colours: the palette holds them all.
    Image.fromarray(tiles).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(path)
    assert furthest(read(path).pixels, tiles) == 0

    alpha = np.full(grey.shape, 255, np.uint8)
    alpha[:32] = 0
    Image.fromarray(np.dstack([tiles, alpha])).save(path)
    pixels = read(path).pixels
    assert (pixels[:32] == 255).all()
    assert furthest(pixels[32:], tiles[32:]) == 0

    Image.fromarray(np.dstack([grey, alpha]), mode="LA").save(path)
    assert (read(path).pixels[32:] == grey[32:, :, None]).all()


@pytest.mark.parametrize("part", [1, 2])
def test_grey_and_cmyk_jpeg(part: int, tiles: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "mode.jpg"
    grey = tiles[:, :, 0]
    Image.fromarray(grey).save(path, quality=100)
    assert furthest(read(path, 320 // part).pixels, grey[::part, ::part, None]) <= 1

    Image.fromarray(tiles).convert("CMYK").save(path, quality=100)
    # Without a profile, ink is the complement of light; each of four channels is rounded once.
    assert furthest(read(path, 320 // part).pixels, tiles[::part, ::part]) <= 2


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    Image.fromarray(np.ones((80, 80), np.float32)).save(path)
    refused = read_photo(path)
    assert isinstance(refused, Refused)
    assert refused.code == "photo_format_unsupported"


def test_exif_after_the_pixels_of_a_png_counts(
    tiles: NDArray[np.uint8], camera_exif: Callable[[int], bytes], tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(tiles).save(buffer, format="PNG")
    block = camera_exif(3).removeprefix(b"Exif\0\0")
    chunk = len(block).to_bytes(4, "big") + b"eXIf" + block
    chunk += zlib.crc32(b"eXIf" + block).to_bytes(4, "big")
    data = buffer.getvalue()
    end = data.rindex(b"IEND") - 4
    path = tmp_path / "late.png"
    path.write_bytes(data[:end] + chunk + data[end:])
    assert furthest(read(path).pixels, tiles[::-1, ::-1]) == 0


@pytest.fixture(scope="module")
def phantom_series() -> Path:
    root = os.environ.get("BSA_VISION_DATA")
    if root is None:
        pytest.skip("BSA_VISION_DATA is not set")
    return Path(root) / "phantom_series"


def test_phantom_photos_have_the_displayed_size_of_their_truth(phantom_series: Path) -> None:
    turned = 0
    for path in sorted(phantom_series.glob("D0*/*.jpg")):
        photo = read(path, max_side=250)
        mask = phantom_series / "truth" / path.parent.name / f"{path.stem}.mask.png"
        with Image.open(mask) as image, Image.open(path) as original:
            assert photo.full_size == image.size
            turned += photo.full_size != original.size
            latitude = original.getexif().get_ifd(0x8825)[2]
        assert photo.captured_at is not None
        assert photo.focal_px is not None
        # The file does carry a place; the record does not.
        assert latitude[2] > 0
        assert str(latitude[2]) not in repr(photo).replace(photo.digest, "")
    assert turned >= 3


def test_phantom_focal_length_agrees_with_its_camera(phantom_series: Path) -> None:
    truth = json.loads((phantom_series / "truth" / "truth.json").read_text())
    assert truth["format"] == "bsa-vision-phantom-truth/1"
    for path in sorted(phantom_series.glob("D05/*.jpg")):
        geometry = np.load(phantom_series / "truth" / "D05" / f"{path.stem}.geometry.npz")
        photo = read(path, max_side=250)
        assert photo.focal_px is not None
        # EXIF rounds the 35 mm equivalent to whole millimetres: half a millimetre of 25 or more.
        assert photo.focal_px == pytest.approx(float(geometry["K"][0, 0]), rel=0.5 / 25)
