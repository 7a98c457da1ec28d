"""Measure calibration on photographs whose truth is known; print tables.

    BSA_VISION_DATA=... .venv/bin/python scripts/benchmark_calibration.py

The folder holds `colour_scale` (photographs of real cards on marker sheets) and `phantom_series`
(rendered photos with `truth/truth.json`).

The card's outline is an independent check of the scale: its four edges are found in the photo
itself, as a dark quadrilateral on white, and only then carried through the markers' homography.
"""

import json
import os
import time
from pathlib import Path

import cv2
import numpy as np

from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.calibration.markers import refine_corners
from bsa_vision.calibration.records import ColourFit, ScaleFit
from bsa_vision.calibration.sheets import SHEETS
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray
from bsa_vision.photo.decode import read_photo
from bsa_vision.photo.records import Photo

#: The board is the largest dark quadrilateral inside the photo of at least this share of it.
LEAST_BOARD_SHARE = 0.03
#: Rounded corners and printed scales: the outline is this near its own quadrilateral.
LEAST_FILL = 0.95


def find_board(pixels: np.ndarray) -> FloatArray | None:
    """Corners (4, 2) px, clockwise, of the largest dark quadrilateral on a lighter ground."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)
    best, largest = None, LEAST_BOARD_SHARE * grey.size
    for share in (0.4, 0.6, 0.8, 1.0):
        dark = (grey < share * threshold).astype(np.uint8)
        contours, tree = cv2.findContours(dark, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        # Outer rims of what is dark; the paper on a dark ground would be a hole's rim.
        outer = [c for c, (_, _, _, parent) in zip(contours, tree[0], strict=True) if parent < 0]
        for contour in outer:
            hull = cv2.convexHull(contour)
            area = cv2.contourArea(hull)
            x, y, width, height = cv2.boundingRect(hull)
            at_border = x <= 1 or y <= 1
            at_border |= x + width >= grey.shape[1] - 1 or y + height >= grey.shape[0] - 1
            if at_border or area <= largest:
                continue
            corners = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True)[:, 0]
            if len(corners) == 4 and area >= LEAST_FILL * cv2.contourArea(corners):
                best, largest = corners.astype(np.float64), area
    if best is None:
        return None
    if cv2.contourArea(best.astype(np.float32), oriented=True) < 0:
        best = best[::-1]
    return refine_corners(grey, best)


def outline_error_percent(photo: Photo, scale: ScaleFit) -> tuple[float, float, float] | None:
    """(shorter side mm, longer side mm, worst error in percent) of the board in the photo."""
    board = find_board(photo.pixels)
    if board is None:
        return None
    full = (board + 0.5) / photo.scale - 0.5
    flat = cv2.perspectiveTransform(full[None], np.linalg.inv(scale.homography))[0]
    sides = np.linalg.norm(flat - np.roll(flat, -1, axis=0), axis=1)
    pairs = sorted([(sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2])
    known = sorted(SHEETS[scale.sheet].card.outline_mm)
    errors = [abs(seen / true - 1) * 100 for seen, true in zip(pairs, known, strict=True)]
    return float(pairs[0]), float(pairs[1]), float(max(errors))


def photographs(folder: Path) -> None:
    print("photo                 sheet         raw   LOO  worst method                 residual "
          " tilt  outline mm       error   cpu ms")  # fmt: skip
    for path in sorted(folder.glob("*.jpg")):
        photo = read_photo(path)
        if isinstance(photo, Refused):
            print(f"{path.name:21} {photo}")
            continue
        start = time.process_time()
        found = calibrate(photo)
        spent = 1000 * (time.process_time() - start)
        if isinstance(found.scale, Refused) or isinstance(found.colour, Refused):
            print(f"{path.name:21} {found.scale} {found.colour}")
            continue
        outline = outline_error_percent(photo, found.scale)
        board = "not found" if outline is None else "{:5.1f}x{:5.1f} {:6.2f} %".format(*outline)
        colour = found.colour
        print(
            f"{path.name:21} {found.scale.sheet:12} {colour.de00_raw_mean:5.2f} "
            f"{colour.de00_loo_mean:5.2f} {colour.de00_loo_max:6.2f} {colour.method:21} "
            f"{found.scale.residual_mm_rms:6.3f} mm {found.scale.tilt_deg:5.1f}  {board} "
            f"{spent:8.0f}"
        )
    print()


def models(folder: Path) -> None:
    print("leave-one-patch-out mean CIEDE2000 of every model")
    header: list[str] = []
    for path in sorted(folder.glob("*.jpg")):
        photo = read_photo(path)
        colour = None if isinstance(photo, Refused) else calibrate(photo).colour
        if not isinstance(colour, ColourFit):
            continue
        if not header:
            header = list(colour.candidates)
            print(" " * 21, "  ".join(header))
        cells = (f"{colour.candidates[name]:{len(name)}.2f}" for name in header)
        print(f"{path.name:21}", "  ".join(cells))
    print()


def phantom(folder: Path, max_side: int | None) -> None:
    truth = json.loads((folder / "truth" / "truth.json").read_text())
    errors, raw, left_out, spent = [], [], [], []
    counts = {"photos": 0, "sheet": 0, "card": 0}
    for visit in truth["visits"]:
        for known in visit["photos"]:
            photo = read_photo(folder / known["file"], max_side)
            if isinstance(photo, Refused):
                print(known["file"], photo)
                continue
            start = time.process_time()
            found = calibrate(photo)
            spent.append(1000 * (time.process_time() - start))
            counts["photos"] += 1
            if isinstance(found.scale, ScaleFit):
                counts["sheet"] += 1
                errors.append(found.scale.mm_per_px / known["calibration"]["mm_per_px"] - 1)
            if isinstance(found.colour, ColourFit) and found.colour.de00_loo_mean is not None:
                counts["card"] += 1
                raw.append(found.colour.de00_raw_mean)
                left_out.append(found.colour.de00_loo_mean)
    off = 100 * np.abs(errors)
    print(f"phantom series, long side {max_side or 'full'}: {counts}")
    print(f"  mm per px off by {off.mean():.3f} % (mean), {off.max():.3f} % (worst)")
    print(f"  CIEDE2000 raw {np.mean(raw):.2f}, leave-one-out {np.mean(left_out):.2f} (mean), "
          f"{np.max(left_out):.2f} (worst photo); {np.mean(spent):.0f} ms CPU a photo")  # fmt: skip


def main() -> None:
    data = Path(os.environ["BSA_VISION_DATA"])
    cv2.setNumThreads(1)
    photographs(data / "colour_scale")
    models(data / "colour_scale")
    phantom(data / "phantom_series", None)
    phantom(data / "phantom_series", 1024)


if __name__ == "__main__":
    main()
