import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from tests.calibration.drawing import as_photo

from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.calibration.records import ColourFit, ScaleFit
from bsa_vision.calibration.sheet_pdf import write_sheet_pdf

DPI = 150
MM_PER_PX = 25.4 / DPI


@pytest.fixture(scope="module")
def pdf(tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "sheet.pdf"
    write_sheet_pdf(path)
    return path


@pytest.fixture(scope="module")
def page(pdf):
    """The page as printed, (H, W, 3)."""
    renderer = shutil.which("pdftoppm")
    if renderer is None:
        pytest.skip("pdftoppm is not installed")
    stem = pdf.with_suffix("")
    subprocess.run(
        [renderer, "-r", str(DPI), "-png", "-singlefile", str(pdf), str(stem)], check=True
    )
    with Image.open(stem.with_suffix(".png")) as image:
        return np.asarray(image.convert("RGB"))


def test_page_is_one_a4_and_the_same_bytes_each_time(pdf, tmp_path):
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", pdf.read_bytes())
    assert box is not None
    # PDF points are 1/72 inch; reportlab writes four decimals or more.
    assert [float(side) * 25.4 / 72 for side in box.groups()] == pytest.approx(
        [210, 297], abs=0.001
    )
    write_sheet_pdf(tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes() == pdf.read_bytes()


def test_printed_sheet_is_recognised_to_scale(page):
    found = calibrate(as_photo(page))
    assert isinstance(found.scale, ScaleFit)
    assert found.scale.sheet == "a4-classic"
    # Corners within 0.3 px over markers that span 1100 px: far below the 0.3 % that a ruler shows.
    assert found.scale.mm_per_px == pytest.approx(MM_PER_PX, rel=0.001)
    assert found.scale.residual_mm_rms < 0.3 * MM_PER_PX
    assert isinstance(found.colour, ColourFit)
    assert found.colour.de00_raw_mean == pytest.approx(0.3, abs=0.15)  # rounding, and cyan's clip


def test_ruler_is_100_mm_long_between_its_outer_edges(page):
    at = round(263.0 / MM_PER_PX)
    dark = np.flatnonzero(page[at, :, 0] < 160)
    left, right = round(50 / MM_PER_PX), round(160 / MM_PER_PX)
    marks = dark[(dark > left) & (dark < right)]
    # Edges fall between pixels: each is known to a pixel.
    assert (marks.max() + 1 - marks.min()) * MM_PER_PX == pytest.approx(100, abs=2 * MM_PER_PX)
