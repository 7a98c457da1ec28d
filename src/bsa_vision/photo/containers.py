"""Recognise an image file by its first bytes, and tell a whole file from a cut one.

File names are not trusted: phones and messengers often call a HEIC or PNG file ".jpg".
"""

import re

from bsa_vision.core.errors import Refused

#: How the names of photos usually end; in a folder, other files are not taken for photos.
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".heic", ".heif"})
#: Bytes that `recognise` needs.
HEAD_BYTES = 256

SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
#: Files that are pictures or films but are not read; the name serves the message.
OTHER_SIGNATURES = {
    b"II*\0\x10\0\0\0CR": "a camera raw file (CR2)",
    b"IIRO": "a camera raw file (ORF)",
    b"IIU\0": "a camera raw file (RW2)",
    b"FUJIFILM": "a camera raw file (RAF)",
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"8BPS": "a Photoshop document",
    b"%PDF": "a PDF document",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

# A JPEG marker: not a stuffed zero, a fill byte or a restart (ISO/IEC 10918-1, B.1.1).
JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
JPEG_START, JPEG_END, JPEG_SCAN, JPEG_STANDALONE = 0xD8, 0xD9, 0xDA, 0x01


def recognise(head: bytes) -> str | Refused:
    """Name of the format ("JPEG", "PNG", "TIFF", "HEIC") from a file's first bytes."""
    other = _other_format(head)
    if other is not None:
        return Refused(
            "photo_format_unsupported",
            f"Need a JPEG, PNG, TIFF or HEIC photo, got {other}.",
            "Export the photo as JPEG at full size from the camera or phone.",
        )
    for signature, name in SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return "HEIC"
    return Refused(
        "photo_not_an_image",
        "Need a JPEG, PNG, TIFF or HEIC photo, got a file that is no image, whatever its name.",
        "Check that the right file was chosen.",
    )


def _other_format(head: bytes) -> str | None:
    """What the file is, where it is a known kind that is not read."""
    for signature, name in OTHER_SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12]} | {head[at : at + 4] for at in range(16, end, 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if head[8:12] not in HEIC_BRANDS:
            return "a film or another ISO media file"
    return None


def jpeg_scan_count(data: bytes) -> int | None:
    """How many scans a JPEG has; None where the stream stops before its end marker.

    Only the first image counts: what cameras append to it (a second view, a gain map) is not read.
    """
    position = 2
    scans = 0
    while (match := JPEG_MARKER.search(data, position)) is not None:
        marker = data[match.end() - 1]
        if marker == JPEG_END:
            return scans
        position = match.end()
        if marker not in (JPEG_START, JPEG_STANDALONE):
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
        scans += marker == JPEG_SCAN
    return None


def png_is_complete(data: bytes) -> bool:
    """Whether every chunk up to the end chunk is there (PNG third edition, 5.3)."""
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        position += 12 + length
        if kind == b"IEND":
            return True
    return False


def heic_is_complete(data: bytes) -> bool:
    """Whether every top-level box lies inside the file (ISO/IEC 14496-12, 4.2)."""
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size == 0:
            return True
        if size < 8:
            # No box: what follows is not part of the container; the decoder judges the rest.
            return True
        position += size
    return position == len(data)


def tiff_directory_is_inside(data: bytes) -> bool:
    """Whether the first directory, which lies anywhere in a TIFF file, is there."""
    start = data[4:8][::-1] if data.startswith(b"II") else data[4:8]
    return len(start) == 4 and int.from_bytes(start, "big") + 2 <= len(data)
