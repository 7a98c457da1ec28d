"""Print the `a4-classic` sheet to exact scale, as vectors."""

from pathlib import Path

import cv2
import numpy as np
from reportlab.lib.colors import Color, black, white
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from bsa_vision.calibration.reference import reference_linear
from bsa_vision.calibration.sheets import A4_CLASSIC, MARKER_DICTIONARY, Sheet
from bsa_vision.calibration.srgb import linear_to_srgb

#: A marker is 4 x 4 bits in a border of one bit.
MARKER_CELLS = 6
RULER_MM = 100
RULER_TOP_MM = 262.0
TICK_MM = 5.0
FONT, BOLD = "Helvetica", "Helvetica-Bold"

HEADING = "bsa-vision calibration sheet  a4-classic"
PRINTING = (
    "Print on white A4 paper at 100 % (actual size, no fit to page).",
    "Check: the ruler at the foot measures 100 mm, edge to edge.",
    "Keep the sheet flat beside the skin, in the same light and at",
    "the same distance, all four markers uncovered.",
)
CARD_NOTE = (
    "Printed colours are not a calibrated card. Lay a real ColorChecker Classic over them,",
    "or a Classic Mini between the white ticks, the same way round (neutral row below).",
)


class _Page:
    """A canvas in millimetres from the top-left corner, y down."""

    def __init__(self, path: Path, sheet: Sheet) -> None:
        self.height = sheet.size_mm[1]
        width_pt, height_pt = (side * mm for side in sheet.size_mm)
        self.canvas = Canvas(str(path), pagesize=(width_pt, height_pt), invariant=1)
        self.canvas.setTitle(HEADING)

    def rectangles(self, boxes_mm: list[tuple[float, float, float, float]], fill: Color) -> None:
        """Fill (left, top, width, height) boxes as one shape, so that no seams show."""
        path = self.canvas.beginPath()
        for left, top, width, height in boxes_mm:
            path.rect(left * mm, (self.height - top - height) * mm, width * mm, height * mm)
        self.canvas.setFillColor(fill)
        self.canvas.drawPath(path, stroke=0, fill=1)

    def text(self, x_mm: float, y_mm: float, words: str, size: float, font: str = FONT) -> None:
        """Write centred at x, on the base line y."""
        self.canvas.setFillColor(black)
        self.canvas.setFont(font, size)
        self.canvas.drawCentredString(x_mm * mm, (self.height - y_mm) * mm, words)


def write_sheet_pdf(path: Path) -> None:
    """Write the `a4-classic` sheet as a one-page PDF of exactly 210 x 297 mm.

    Parameters
    ----------
    path : the file to write; its folder must exist.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    sheet = A4_CLASSIC
    page = _Page(path, sheet)
    for marker_id in sheet.marker_corners:
        _draw_marker(page, sheet, marker_id)
    _draw_card(page, sheet)
    centre = sheet.centre_mm[0]
    page.text(centre, 18, HEADING, 10, BOLD)
    for line, words in enumerate(PRINTING):
        page.text(centre, 26 + 5 * line, words, 8)
    for line, words in enumerate(CARD_NOTE):
        page.text(centre, 216 + 5 * line, words, 8)
    _draw_ruler(page, centre)
    page.canvas.showPage()
    page.canvas.save()


def _draw_marker(page: _Page, sheet: Sheet, marker_id: int) -> None:
    left, top = sheet.marker_corners[marker_id]
    cell = sheet.marker_mm / MARKER_CELLS
    bits = cv2.aruco.generateImageMarker(MARKER_DICTIONARY, marker_id, MARKER_CELLS)
    page.rectangles([(left, top, sheet.marker_mm, sheet.marker_mm)], black)
    light = [
        (left + column * cell, top + row * cell, cell, cell) for row, column in np.argwhere(bits)
    ]
    page.rectangles(light, white)


def _draw_card(page: _Page, sheet: Sheet) -> None:
    """The board, its 24 patches in reference sRGB, and ticks for the corners of a Mini."""
    card, mini = sheet.cards
    width, height = card.outline_mm
    x, y = card.centre_mm
    page.rectangles([(x - width / 2, y - height / 2, width, height)], black)
    half = card.patch_mm / 2
    for centre, colour in zip(card.centres(), linear_to_srgb(reference_linear()), strict=True):
        box = (float(centre[0]) - half, float(centre[1]) - half, card.patch_mm, card.patch_mm)
        page.rectangles([box], Color(*(float(value) for value in colour)))
    half_width, half_height = mini.outline_mm[0] / 2, mini.outline_mm[1] / 2
    thin = 0.3
    for side_x in (-1, 1):
        for side_y in (-1, 1):
            corner_x, corner_y = x + side_x * half_width, y + side_y * half_height
            left = min(corner_x, corner_x - side_x * TICK_MM)
            top = min(corner_y, corner_y - side_y * TICK_MM)
            ticks = [
                (left, corner_y - thin / 2, TICK_MM, thin),
                (corner_x - thin / 2, top, thin, TICK_MM),
            ]
            page.rectangles(ticks, white)


def _draw_ruler(page: _Page, centre_mm: float) -> None:
    """A ruler whose first and last marks are 100 mm apart, outer edge to outer edge."""
    left, thin = centre_mm - RULER_MM / 2, 0.2
    boxes = [(left, RULER_TOP_MM, float(RULER_MM), thin)]
    for millimetre in range(RULER_MM + 1):
        length = 6.0 if millimetre % 10 == 0 else 4.0 if millimetre % 5 == 0 else 2.5
        # The first mark begins at 0 and the last ends at 100.
        at = left + millimetre - thin * millimetre / RULER_MM
        boxes.append((at, RULER_TOP_MM, thin, length))
    page.rectangles(boxes, black)
    for millimetre in range(0, RULER_MM + 1, 10):
        page.text(left + millimetre, RULER_TOP_MM + 9.5, str(millimetre), 6)
    page.text(centre_mm, RULER_TOP_MM + 14, "100 mm", 8)
