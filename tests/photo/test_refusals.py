"""Files that are no usable photo are refused in words, fast and in little memory."""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bsa_vision.core.errors import Refused
from bsa_vision.photo.decode import read_photo
from bsa_vision.photo.records import Photo

KINDS = ["JPEG", "PNG", "TIFF", "HEIC"]
# 200 megapixels.
HUGE = (20_000, 10_000)
# What a refusal may cost beyond the imports; decoding 200 megapixels takes 600 MB and seconds.
MEMORY_MB, SECONDS = 40, 1.0


def refusal(path: Path) -> Refused:
    refused = read_photo(path)
    assert isinstance(refused, Refused)
    # In words: what was needed, what was got, and what to do.
    assert refused.reason.startswith("Need")
    assert refused.reason.endswith(".")
    assert refused.remedy.endswith(".")
    return refused


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    crc = zlib.crc32(kind + payload).to_bytes(4, "big")
    return len(payload).to_bytes(4, "big") + kind + payload + crc


def png(size: tuple[int, int], extra: bytes = b"", pixels: bytes = b"") -> bytes:
    """A PNG that declares `size`, with the compressed `pixels` given."""
    header = size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", pixels)
        + png_chunk(b"IEND", b"")
    )


@pytest.fixture
def huge_files(camera_file: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """Files of each format whose header declares 200 megapixels."""
    width, height = HUGE
    jpeg = bytearray(camera_file("JPEG").read_bytes())
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    tiff = bytearray(camera_file("TIFF").read_bytes())
    for tag, value in ((256, width), (257, height)):
        at = tiff.index(tag.to_bytes(2, "little") + b"\x04\0\x01\0\0\0")
        tiff[at + 8 : at + 12] = value.to_bytes(4, "little")
    heic = bytearray(camera_file("HEIC").read_bytes())
    extent = heic.index(b"ispe") + 8
    heic[extent : extent + 8] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    files = {"JPEG": bytes(jpeg), "TIFF": bytes(tiff), "HEIC": bytes(heic), "PNG": png(HUGE)}
    return {kind: written(tmp_path / f"huge-{kind}", data) for kind, data in files.items()}


def test_missing_folder_pipe_and_empty(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.jpg").code == "photo_missing"
    assert refusal(tmp_path).code == "photo_not_a_file"
    assert refusal(written(tmp_path / "empty.jpg", b"")).code == "photo_empty"
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    assert refusal(pipe).code == "photo_not_a_file"


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"Dear colleague, please find the photo attached.\n" * 99,
        bytes(5000),
        b"PK\x03\x04" * 20,
        np.random.default_rng(0).bytes(4000),
    ],
)
def test_what_is_no_image(data: bytes, tmp_path: Path) -> None:
    assert refusal(written(tmp_path / "photo.jpg", data)).code == "photo_not_an_image"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"BM" + bytes(60), "BMP"),
        (b"%PDF-1.7", "PDF"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiafMA1B", "AVIF"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "film"),
        (b"II*\0\x10\0\0\0CR\x02\0", "raw"),
        (b"II+\0\x08\0\0\0", "BigTIFF"),
    ],
)
def test_other_formats_are_named(head: bytes, name: str, tmp_path: Path) -> None:
    refused = refusal(written(tmp_path / "photo.jpg", head + bytes(300)))
    assert refused.code == "photo_format_unsupported"
    assert name in refused.reason


def test_camera_raw_in_a_tiff_is_not_read_as_its_preview(tmp_path: Path) -> None:
    path = tmp_path / "raw.dng"
    Image.new("RGB", (160, 120)).save(path, format="TIFF", tiffinfo={50706: b"\1\4\0\0"})
    assert refusal(path).code == "photo_format_unsupported"
    Image.new("RGB", (160, 120)).save(path, format="TIFF", tiffinfo={254: 1})
    assert "raw" in refusal(path).reason


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.02, 0.1, 0.3, 0.5, 0.75, 0.95, 0.999, 1.0])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns of the damage
def test_cut_files(
    kind: str, part: float, camera_file: Callable[..., Path], tmp_path: Path
) -> None:
    data = camera_file(kind).read_bytes()
    cut = data[: min(max(16, round(part * len(data))), len(data) - 1)]
    assert refusal(written(tmp_path / "cut", cut)).code == "photo_truncated"


def test_transfer_that_left_zeros_at_the_end(
    camera_file: Callable[..., Path], tmp_path: Path
) -> None:
    data = camera_file("JPEG").read_bytes()
    half = len(data) // 2
    zeroed = data[:half] + bytes(len(data) - half)
    assert refusal(written(tmp_path / "zeros.jpg", zeroed)).code == "photo_truncated"


def test_second_picture_after_a_jpeg_is_ignored(
    camera_file: Callable[..., Path], tmp_path: Path
) -> None:
    data = camera_file("JPEG").read_bytes()
    photo = read_photo(written(tmp_path / "pair.jpg", data + data[: len(data) // 2]))
    assert isinstance(photo, Photo)


@pytest.mark.parametrize(("size", "ok"), [((1, 1), False), ((63, 900), False), ((64, 64), True)])
def test_least_size(size: tuple[int, int], ok: bool, tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "TIFF"):
        path = tmp_path / f"small.{kind}"
        Image.new("RGB", size).save(path, format=kind)
        result = read_photo(path)
        if ok:
            assert isinstance(result, Photo)
        else:
            assert refusal(path).code == "photo_too_small"
            assert f"{size[0]} x {size[1]}" in refusal(path).reason


def test_many_scans_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scans.jpg"
    Image.new("RGB", (640, 480)).save(path, progressive=True)
    assert isinstance(read_photo(path), Photo)
    data = path.read_bytes()
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff", first + 2)
    path.write_bytes(data[:second] + data[first:second] * 200 + data[second:])
    assert refusal(path).code == "photo_too_complex"


def test_file_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.tiff"
    with path.open("wb") as file:
        file.write(b"II*\0\x08\0\0\0")
        # A hole: the file is long without taking room on the disk.
        file.truncate(3_000_000_000)
    refused = refusal(path)
    assert refused.code == "photo_file_too_large"
    assert "3000 MB" in refused.reason


# Run apart, so that the peak memory is that of reading and not of other tests. The kernel's figure
# for this address space is used because getrusage's peak is inherited from the parent process.
PEAK = Path("/proc/self/status")
MEASURE = f"""
import json, re, sys, time
from pathlib import Path
from bsa_vision.photo.decode import read_photo

def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("{PEAK}").read_text())[1]) / 1024

results = []
for name in sys.argv[1:]:
    before, start = peak_mb(), time.process_time()
    result = read_photo(Path(name))
    spent = time.process_time() - start
    results.append([getattr(result, "code", "read"), spent, peak_mb() - before])
print(json.dumps(results))
"""


@pytest.mark.skipif(not PEAK.exists(), reason="peak memory is read from Linux's /proc")
def test_huge_headers_and_bombs_cost_neither_time_nor_memory(
    huge_files: dict[str, Path], tmp_path: Path
) -> None:
    # 200 MB packed into 0.2 MB, as a colour profile, as a text, and as pixels of which the header
    # declares 30 kB.
    packed = zlib.compress(bytes(200_000_000), 1)
    black = zlib.compress(bytes(100 * 301))
    bombs = [
        written(tmp_path / name, data)
        for name, data in {
            "profile.png": png((100, 100), png_chunk(b"iCCP", b"p\0\0" + packed), black),
            "text.png": png((100, 100), png_chunk(b"zTXt", b"t\0\0" + packed), black),
            "pixels.png": png((100, 100), pixels=packed),
        }.items()
    ]
    paths = [*huge_files.values(), *bombs]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    results = json.loads(run.stdout)
    codes = [code for code, _, _ in results]
    assert codes[: len(huge_files)] == ["photo_too_large"] * len(huge_files)
    # Of the pixels, the surplus is never unpacked.
    assert codes[len(huge_files) :] == ["photo_damaged", "photo_damaged", "read"]
    for path, (_, seconds, megabytes) in zip(paths, results, strict=True):
        assert seconds < SECONDS, path.name
        assert megabytes < MEMORY_MB, path.name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns of the damage
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=6,
    ),
    near_start=st.booleans(),
)
def test_damage_anywhere_gives_a_photo_or_a_refusal(
    kind: str,
    changes: list[tuple[float, bytes]],
    near_start: bool,
    camera_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    data = bytearray(damage_source(kind, camera_file))
    reach = min(600, len(data)) if near_start else len(data)
    for place, patch in changes:
        at = int(place * reach)
        data[at : at + len(patch)] = patch
    result = read_photo(written(tmp_path / "damaged", bytes(data)), max_side=200)
    assert isinstance(result, Photo | Refused)


SOURCES: dict[str, bytes] = {}


def damage_source(kind: str, camera_file: Callable[..., Path]) -> bytes:
    """The undamaged file, encoded once."""
    if kind not in SOURCES:
        SOURCES[kind] = camera_file(kind, 6).read_bytes()
    return SOURCES[kind]
