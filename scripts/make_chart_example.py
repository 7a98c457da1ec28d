"""Draw the chart of a made-up patient for the README.

    .venv/bin/python scripts/make_chart_example.py

Writes docs/pictures/chart_example.png.
"""

import sys
from pathlib import Path

import numpy as np

from bsa_vision.chart.body import Body, solve_body
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.draw import NOT_ASSESSED, chart_png
from bsa_vision.chart.patient import Patient
from bsa_vision.chart.regions import REGION_NAMES, cell_weights
from bsa_vision.core.errors import Refused
from bsa_vision.core.labels import COUNTED, Label

OUT = Path(__file__).parents[1] / "docs" / "pictures" / "chart_example.png"


def smooth_noise(points: np.ndarray, per_metre: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random field of unit variance over points (n, 3) in metres."""
    waves = rng.normal(size=(80, 3)) * per_metre
    return np.cos(points @ waves.T + rng.uniform(0, 2 * np.pi, 80)).sum(axis=1) / np.sqrt(40)


def made_up_states(body: Body) -> np.ndarray:
    """Lesions that favour the trunk, healing from their middle, and some skin unseen."""
    cells, rng = load_cells(), np.random.default_rng(12)
    points = cells.centres(body.rest.vertices)
    height = points[:, 2]
    severity = 0.8 * smooth_noise(points, 8, rng) + 0.3 * smooth_noise(points, 25, rng)
    severity += 1.7 * np.exp(-(((height - 0.33) / 0.40) ** 2)) - 0.8
    healing = smooth_noise(points, 10, rng)
    labels = np.full(len(cells), Label.UNAFFECTED, dtype=np.uint8)
    for state, least in (
        (Label.ERYTHEMA, 0.55),
        (Label.DETACHABLE, 0.85),
        (Label.DETACHED, 1.15),
    ):
        labels[severity > least] = state
    labels[(severity > 1.0) & (healing > 0.85)] = Label.REEPITHELIALISED
    region = np.array(REGION_NAMES)[cells.region]
    wrist = (region == "forearm") & (cells.side == 1) & (height < 0.29)
    labels[wrist] = Label.NOT_ASSESSABLE
    unseen = (region == "genitalia") | ((region == "foot") & (height < height.min() + 0.02))
    labels[unseen | ((region == "head") & ~cells.front & (height > 0.80))] = NOT_ASSESSED
    return labels


def main() -> None:
    body = solve_body(Patient("EXAMPLE", "female", 44, 165, 62))
    if isinstance(body, Refused):
        raise SystemExit(str(body))
    labels = made_up_states(body)
    weights = cell_weights(body, "lund-browder")

    def percent(*codes: int) -> str:
        return f"{weights[np.isin(labels, codes)].sum():.1f} %"

    caption = (
        f"Counted {percent(*COUNTED)} of BSA: detached {percent(Label.DETACHED)}, detachable "
        f"{percent(Label.DETACHABLE)}.  Re-epithelialised {percent(Label.REEPITHELIALISED)}.  "
        f"Hidden or not assessed {percent(Label.NOT_ASSESSABLE, NOT_ASSESSED)}."
    )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(chart_png(labels, "Example patient, day 7", caption))
    sys.stdout.write(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    main()
