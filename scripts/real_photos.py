"""Real photographs, none of a patient, as a series: what the masks look like, what is refused.

    BSA_VISION_DATA=... .venv/bin/python scripts/real_photos.py OUT

Foot-ulcer close-ups, colour-card photos and scikit-image's astronaut, whose face is marked by hand.
Scores the series with the model's masks and writes OUT/masks.png: photos beside their masks.
"""

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from bsa_vision.app.score import score_many
from bsa_vision.core.labels import LABEL_NAMES, label_palette

#: Read off the picture (512 x 512).
ASTRONAUT_FACE = {
    "outer_canthus_right": (193, 101),
    "inner_canthus_right": (211, 103),
    "inner_canthus_left": (239, 105),
    "outer_canthus_left": (257, 104),
    "nose_tip": (226, 124),
    "mouth_corner_right": (204, 140),
    "mouth_corner_left": (244, 142),
    "chin": (222, 177),
    "ear_lobe_right": (181, 130),
    "ear_lobe_left": (272, 135),
}
CLOSE_UPS = 12
TILE = (260, 260)


def make_series(folder: Path, source: Path) -> None:
    """Photos, series.json and the astronaut's landmarks."""
    (folder / "D00").mkdir(parents=True, exist_ok=True)
    photos = sorted((source / "colour_scale").glob("*.jpg"))
    photos += sorted((source / "fuseg" / "validation").rglob("images/*"))[:CLOSE_UPS]
    for path in photos:
        (folder / "D00" / path.name).write_bytes(path.read_bytes())
    listed = [{"file": f"D00/{path.name}", "view": "feet_plantar"} for path in photos]
    astronaut = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "D00" / "astronaut.png"), astronaut)
    points = {"points": {name: list(xy) for name, xy in ASTRONAUT_FACE.items()}}
    (folder / "D00" / "astronaut.landmarks.json").write_text(json.dumps(points))
    listed.append(
        {
            "file": "D00/astronaut.png",
            "view": "head_front",
            "landmarks": "D00/astronaut.landmarks.json",
        }
    )
    patient = {"id": "REAL-1", "sex": "female", "age_years": 36, "height_cm": 170, "weight_kg": 62}
    document = {"format": "bsa-vision-series/1", "study": "real photos", "patient": patient}
    document["visits"] = [{"day": 0, "photos": listed}]
    (folder / "series.json").write_text(json.dumps(document, indent=1))


def tile(picture: np.ndarray) -> np.ndarray:
    """The picture fitted into a white tile."""
    scale = min(TILE[0] / picture.shape[1], TILE[1] / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((TILE[1], TILE[0], 3), 255, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas


def main() -> None:
    out = Path(sys.argv[1])
    make_series(out / "series", Path(os.environ["BSA_VISION_DATA"]))
    (outcome,) = score_many([out / "series"], out / "results", masks="model", overwrite=True)
    print(outcome.status, outcome.reason)
    tiles = []
    for photo in outcome.document["visits"][0]["photos"]:
        mask_path = outcome.out / "masks" / Path(photo["file"]).with_suffix(".png")
        mask = cv2.imread(str(mask_path), cv2.IMREAD_UNCHANGED)
        picture = cv2.imread(str(out / "series" / photo["file"]))
        coloured = cv2.cvtColor(label_palette()[mask], cv2.COLOR_RGB2BGR)
        tiles.append(np.vstack([tile(picture), tile(coloured)]))
        shares = np.bincount(mask.ravel(), minlength=len(LABEL_NAMES)) / mask.size
        found = ", ".join(
            f"{n} {s:.0%}" for n, s in zip(LABEL_NAMES, shares, strict=True) if s > 0.02
        )
        print(f"{photo['file']}: {photo['status']} ({photo['code']}); {found}")
    rows = [np.hstack(tiles[i : i + 5]) for i in range(0, len(tiles), 5)]
    cv2.imwrite(str(out / "masks.png"), np.vstack(rows))


if __name__ == "__main__":
    main()
