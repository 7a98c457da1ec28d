"""What all HTML reports share: templates, pictures, words."""

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

_TYPES = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"<", "image/svg+xml"))


def environment() -> Environment:
    """Templates of this package; what they show is escaped, and a missing name is an error."""
    return Environment(
        loader=PackageLoader("bsa_vision.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(picture: bytes) -> str:
    """A PNG, JPEG or SVG as the URI of itself."""
    for start, mime in _TYPES:
        if picture.startswith(start):
            return f"data:{mime};base64,{base64.b64encode(picture).decode('ascii')}"
    msg = f"a picture needs to be PNG, JPEG or SVG, got {picture[:8]!r}"
    raise ValueError(msg)


def words(identifier: str) -> str:
    """An identifier as people write it."""
    return identifier.replace("_", " ")
