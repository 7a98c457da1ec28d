"""Where a photo without landmarks was placed on the body: the chart's regions drawn over it.

    python scripts/draw_places.py OUT.png PHOTO:VIEW [PHOTO:VIEW ...] [--sex female] [--age 40]
        [--height 168] [--weight 65]

PHOTO is a file, or one of two public-domain portraits that installed packages ship: `astronaut`
(NASA, in scikit-image) and `admiral` (US Navy, in Matplotlib). Photos go through the chain as for
`score`, with the default models; under each stands what became of it.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cbook, colormaps
from skimage import data

from bsa_vision.app.facts import photo_facts
from bsa_vision.app.photo_job import PhotoDone, PhotoJob, run_photo
from bsa_vision.app.series import PhotoEntry
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.patient import Patient
from bsa_vision.core.errors import Refused
from bsa_vision.core.views import VIEW_NAMES
from bsa_vision.photo.decode import read_photo
from bsa_vision.segmentation.registry import default_model

PORTRAITS = {
    "astronaut": data.astronaut,
    "admiral": lambda: plt.imread(cbook.get_sample_data("grace_hopper.jpg")),
}
SIDE = 560
_INK = (40, 40, 40)


def overlay(done: PhotoDone) -> np.ndarray:
    """The photo, its seen cells coloured by region, left and right alike, rims of regions black."""
    photo = read_photo(done.job.entry.path, 2 * SIDE)
    if isinstance(photo, Refused):
        sys.exit(f"{done.job.entry.name}: {photo}")
    scale = SIDE / max(photo.full_size)
    size = tuple(round(side * scale) for side in photo.full_size)
    picture = cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA)
    evidence = done.result.evidence
    if evidence is not None:
        cells = load_cells()
        coloured = picture.copy()
        palette = (np.array(colormaps["tab20"].colors) * 255).astype(int)
        at = np.rint((evidence.at + 0.5) * scale - 0.5).astype(int)
        for (x, y), region in zip(at.tolist(), cells.region[evidence.cells], strict=True):
            cv2.circle(coloured, (x, y), 2, palette[region % len(palette)].tolist(), -1)
        picture = cv2.addWeighted(picture, 0.55, coloured, 0.45, 0)
        place = np.full(len(cells), -1)
        place[evidence.cells] = np.arange(len(evidence.cells))
        for one, other in cells.neighbours[
            cells.region[cells.neighbours[:, 0]] != cells.region[cells.neighbours[:, 1]]
        ]:
            if place[one] >= 0 and place[other] >= 0:
                cv2.circle(picture, at[place[one]].tolist(), 1, _INK, -1)
    facts = photo_facts(done)
    said = facts.code or f"{facts.placement_verdict}, {facts.placement_error_mm:.0f} mm expected"
    canvas = np.full((SIDE + 46, SIDE, 3), 255, np.uint8)
    left = (SIDE - picture.shape[1]) // 2
    canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
    for line, text in enumerate((f"stated as {done.job.entry.view}", said)):
        cv2.putText(
            canvas, text, (8, SIDE + 17 + 20 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1,
            cv2.LINE_AA,
        )  # fmt: skip
    if facts.reason:
        print(f"{done.job.entry.name} as {done.job.entry.view}: {facts.reason}")
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", nargs="+", metavar="PHOTO:VIEW")
    parser.add_argument("--sex", choices=("female", "male"), default="female")
    parser.add_argument("--age", type=float, default=40)
    parser.add_argument("--height", type=float, default=168)
    parser.add_argument("--weight", type=float, default=65)
    given = parser.parse_args()
    patient = Patient("SHOWN-1", given.sex, given.age, given.height, given.weight)
    panels = []
    with tempfile.TemporaryDirectory() as folder:
        for number, photo_of_view in enumerate(given.photos):
            photo, view = photo_of_view.rsplit(":", 1)
            path = Path(photo)
            if view not in VIEW_NAMES:
                parser.error(f"{view}: needed one of {', '.join(VIEW_NAMES)}.")
            if photo in PORTRAITS:
                path = Path(folder) / f"{photo}.png"
                cv2.imwrite(str(path), cv2.cvtColor(PORTRAITS[photo](), cv2.COLOR_RGB2BGR))
            entry = PhotoEntry(path.name, path, view, None, None)
            mask_out = Path(folder) / f"{number}.png"
            job = PhotoJob(entry, 0, patient, "model", default_model(), mask_out)
            panels.append(overlay(run_photo(job)))
    rows = [np.hstack(panels[i : i + 4]) for i in range(0, len(panels), 4)]
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    cv2.imwrite(str(given.out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
