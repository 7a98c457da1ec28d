"""Chart pictures: the skin states on the body from the front, back, left, right and below.

The figures are one neutral adult for every patient: a map, not a portrait. Which cell each sample
of the picture shows was rendered once (`scripts/make_chart_views.py`), so that a chart is a table
lookup.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bsa_vision.chart.cells import load_cells
from bsa_vision.core.labels import LABEL_COLOURS, Label

#: Code of a cell that no photo shows, beside the codes of `Label`.
NOT_ASSESSED = 255

CHART_SIZE = (1600, 900)
BAND_SIZE = (1600, 726)
OVERSAMPLING = 2
NOT_SKIN, OFF_BODY = 65534, 65535  # sample indices that are no cell
DATA = "data/chart_views.npz"

Pixels = NDArray[np.uint8]

_BAND_TOP = 78
_INK = (52, 52, 56)
_TEXT, _FAINT = (34, 34, 38), (104, 104, 110)
_UNSEEN, _UNSEEN_LINE = (255, 255, 255), (150, 150, 156)
_HIDDEN_LINE = (255, 255, 255)
_CAVITY = (214, 208, 202)
_HATCH_PERIOD, _HATCH_WIDTH = 14, 3  # samples

_LEGEND: tuple[tuple[int, str], ...] = (
    (Label.UNAFFECTED, "Unaffected"),
    (Label.ERYTHEMA, "Erythema"),
    (Label.DETACHABLE, "Detachable"),
    (Label.DETACHED, "Detached"),
    (Label.REEPITHELIALISED, "Re-epithelialised"),
    (Label.NOT_ASSESSABLE, "Hidden (dressing, glare)"),
    (NOT_ASSESSED, "Not assessed"),
)
_CODES = frozenset(code for code, _ in _LEGEND)
#: Column and row of the text under or beside each figure.
_CAPTIONS = (
    ("Front", 252, 812),
    ("Back", 736, 812),
    ("Left", 1200, 812),
    ("Right", 1408, 812),
    ("Soles", 494, 812),
)
#: The patient's right and left beside the figures seen from front, back and below.
_SIDES = (("R", 70, 240), ("L", 434, 240), ("L", 554, 240), ("R", 918, 240))

_N_16BIT = 65536
#: Codes of samples that are no skin, beside those of the labels.
_CAVITY_CODE, _PAPER_CODE = 253, 254
_SMOOTHING = 5  # samples, twice; cuts the teeth that triangular cells give a border


@dataclass(frozen=True)
class _Views:
    """The rendered figures.

    Per sample: the cell, the hatch lines through it (see `_hatches`), whether it is skin. Per
    pixel: picture = colour * gain + ink.
    """

    index: NDArray[np.uint16]
    hatch: NDArray[np.uint16]
    skin: NDArray[np.bool_]
    gain: NDArray[np.float32]
    ink: NDArray[np.float32]


def draw_chart(labels: Pixels, title: str = "", caption: str = "") -> Pixels:
    """The chart of one visit.

    Parameters
    ----------
    labels : (n_cells,) uint8, a `Label` of skin, ``NOT_ASSESSABLE`` or `NOT_ASSESSED` per cell.
    title, caption : one line each, above the figures.

    Returns
    -------
    (900, 1600, 3) uint8 sRGB.

    Raises
    ------
    ValueError
        For labels of another length or code.
    """
    n = len(load_cells())
    codes = {int(code) for code in np.unique(labels)}
    if labels.shape != (n,) or not codes <= _CODES:
        msg = f"need ({n},) labels with codes {sorted(_CODES)}, got {labels.shape}, {sorted(codes)}"
        raise ValueError(msg)
    views = _load_views()
    coloured = _coloured(_sample_codes(labels, views), views.hatch)
    band = cv2.resize(coloured, BAND_SIZE, interpolation=cv2.INTER_AREA)
    toned = cv2.multiply(band, views.gain, dtype=cv2.CV_32F)
    picture = np.full((CHART_SIZE[1], CHART_SIZE[0], 3), 255, dtype=np.uint8)
    picture[_BAND_TOP : _BAND_TOP + BAND_SIZE[1]] = cv2.add(toned, views.ink, dtype=cv2.CV_8U)
    return _lettered(picture, title, caption)


def chart_png(labels: Pixels, title: str = "", caption: str = "") -> bytes:
    """`draw_chart` as PNG; the same input gives the same bytes."""
    stream = io.BytesIO()
    Image.fromarray(draw_chart(labels, title, caption)).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def _sample_codes(labels: Pixels, views: _Views) -> Pixels:
    """Code of every sample, borders between states smoothed, outlines of the body kept."""
    by_index = np.full(_N_16BIT, _PAPER_CODE, dtype=np.uint8)
    by_index[: len(labels)] = labels
    by_index[NOT_SKIN] = _CAVITY_CODE
    codes = np.asarray(cv2.LUT(views.index, by_index), dtype=np.uint8)
    # The median of an odd window is one of its codes, and where two meet it is the majority.
    smooth = cv2.medianBlur(cv2.medianBlur(codes, _SMOOTHING), _SMOOTHING)
    np.copyto(
        codes,
        smooth,
        where=views.skin & (smooth != _PAPER_CODE) & (smooth != _CAVITY_CODE),
    )
    return codes


def _coloured(codes: Pixels, hatch: NDArray[np.uint16]) -> Pixels:
    """Colours (..., 3) of codes under hatch lines as `_hatches` gives them."""
    both = cv2.add(codes, hatch, dtype=cv2.CV_16U)
    channels = [cv2.LUT(both, channel) for channel in _palette()]
    return np.asarray(cv2.merge(channels), dtype=np.uint8)


@lru_cache(maxsize=1)
def _palette() -> Pixels:
    """Per channel the value (3, 65536) of 256 * hatch (none, rising, falling, both) + code."""
    palette = np.full((_N_16BIT // 256, 256, 3), 255, dtype=np.uint8)
    for label in Label:
        palette[:, label] = LABEL_COLOURS[label]
    palette[:, NOT_ASSESSED] = _UNSEEN
    palette[[1, 3], NOT_ASSESSED] = _UNSEEN_LINE
    palette[[2, 3], Label.NOT_ASSESSABLE] = _HIDDEN_LINE
    palette[:, _CAVITY_CODE] = _CAVITY
    return np.ascontiguousarray(palette.reshape(-1, 3).T)


@lru_cache(maxsize=1)
def _load_views() -> _Views:
    """The shipped figures, made ready for `draw_chart`."""
    with files("bsa_vision.chart").joinpath(DATA).open("rb") as stream, np.load(stream) as data:
        index = data["index"]
        shade = data["shade"].astype(np.float32) / 255
        alpha = data["ink"].astype(np.float32) / 255
    gain = np.repeat((shade * (1 - alpha))[:, :, None], 3, axis=2)
    ink = alpha[:, :, None] * np.array(_INK, dtype=np.float32)
    return _Views(index, _hatches(*index.shape), index < NOT_SKIN, gain, ink)


def _hatches(height: int, width: int) -> NDArray[np.uint16]:
    """256 on rising diagonals plus 512 on falling ones: what `_palette` adds to a code."""
    row, column = np.ogrid[:height, :width]
    rising = (column + row) % _HATCH_PERIOD < _HATCH_WIDTH
    falling = (column - row) % _HATCH_PERIOD < _HATCH_WIDTH
    return (256 * rising + 512 * falling).astype(np.uint16)


@lru_cache(maxsize=8)
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib ships; found without importing matplotlib."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        msg = "matplotlib, which brings the font, is not installed"
        raise FileNotFoundError(msg)
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size)


def _lettered(picture: Pixels, title: str, caption: str) -> Pixels:
    """The picture with title, caption, names of the views and legend."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    pen.text((40, 40), title, font=_font(26, bold=True), fill=_TEXT, anchor="lm")
    pen.text((40, 72), caption, font=_font(17), fill=_FAINT, anchor="lm")
    for text, column, row in _CAPTIONS:
        pen.text((column, row), text, font=_font(18), fill=_TEXT, anchor="mm")
    for text, column, row in _SIDES:
        pen.text((column, row), text, font=_font(18, bold=True), fill=_FAINT, anchor="mm")
    _legend(image, pen)
    return np.asarray(image)


def _legend(image: Image.Image, pen: ImageDraw.ImageDraw) -> None:
    """Swatches with names in one centred row at the foot."""
    font, swatch, gap = _font(16), (34, 20), 26
    widths = [swatch[0] + 8 + font.getlength(name) + gap for _, name in _LEGEND]
    left, top = (CHART_SIZE[0] - sum(widths) + gap) / 2, 852
    for (code, name), width in zip(_LEGEND, widths, strict=True):
        x = round(left)
        hatch = _hatches(swatch[1] * OVERSAMPLING, swatch[0] * OVERSAMPLING)
        fine = _coloured(np.full(hatch.shape, code, dtype=np.uint8), hatch)
        small = cv2.resize(fine, swatch, interpolation=cv2.INTER_AREA)
        image.paste(Image.fromarray(small), (x, top))
        pen.rectangle((x, top, x + swatch[0], top + swatch[1]), outline=_INK)
        pen.text((x + swatch[0] + 8, top + 10), name, font=font, fill=_TEXT, anchor="lm")
        left += width
