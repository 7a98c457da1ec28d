"""Count how often a photo of each view shows each cell of the chart, in rendered patients.

    .venv/bin/python scripts/make_view_cells.py [--patients 40]

Writes src/bsa_vision/chart/data/view_cells.npz: percent (20, n cells). Patients, poses and cameras
are those of the renderer's usual photos; no photo is made.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.gather import visible_cells
from bsa_vision.core.views import VIEW_NAMES
from bsa_vision.phantom.scene import Framing, build_scene, make_case
from bsa_vision.phantom.views import PORTRAIT_GROUPS, VIEWS

OUT = Path(__file__).parents[1] / "src" / "bsa_vision" / "chart" / "data" / "view_cells.npz"
FIRST = 700_000
SIDES = (1024, 768)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=40)
    given = parser.parse_args()
    cells = load_cells()
    shown = np.zeros((len(VIEW_NAMES), len(cells)))
    for seed in range(FIRST, FIRST + given.patients):
        rng = np.random.default_rng([seed, 13])
        case = make_case(seed, None, 0.0, adult=seed % 5 != 0)
        for number, name in enumerate(VIEW_NAMES):
            view = VIEWS[name]
            framing = Framing(
                view=view,
                size=SIDES[::-1] if view.group in PORTRAIT_GROUPS else SIDES,
                focal_35mm=float(rng.uniform(26, 41)),
                fill=float(rng.uniform(0.8, 0.95)),
                close_up=None,
                with_sheet=True,
                harshness=0.3,
            )
            scene = build_scene(case, 0.0, (), framing, int(rng.integers(2**31)))
            seen, _ = visible_cells(scene.vertices, scene.camera, cells)
            shown[number, seen] += 1
    percent = np.rint(100 * shown / given.patients).astype(np.uint8)
    np.savez_compressed(OUT, percent=percent)
    sys.stdout.write(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    main()
