"""Draw training photos by skin tone, each with its mask's outlines.

    python scripts/make_contact_sheet.py docs/pictures/training_photos.jpg

Ten rows, Monk tones 1 to 10 from above; in each row photos of different patients, days and views,
as the training renderer makes them. The outlines are those of the mask's classes.
"""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.labels import Label
from bsa_vision.phantom.scene import monk_tone
from bsa_vision.phantom.training import SAMPLES_PER_PATIENT, prepare_sample
from train_shipped_model import skin_textures

COLUMNS, SIDE = 8, 192
#: RGB of the outlines; unaffected skin and background have none of their own.
OUTLINES = {
    Label.ERYTHEMA: (255, 200, 0),
    Label.DETACHABLE: (170, 90, 255),
    Label.DETACHED: (255, 40, 40),
    Label.REEPITHELIALISED: (0, 220, 120),
    Label.NOT_ASSESSABLE: (60, 150, 255),
}


def tile(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A square tile (SIDE, SIDE, 3) of a photo with the outlines of its mask."""
    scale = SIDE / max(mask.shape)
    size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    labels = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
    for label, colour in OUTLINES.items():
        region = (labels == label).astype(np.uint8)
        outlines, _ = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, outlines, -1, colour, 1)
    whole = np.full((SIDE, SIDE, 3), 255, np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    whole[top : top + size[1], left : left + size[0]] = small
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    textures = skin_textures()
    rows: dict[int, list[NDArray[np.uint8]]] = {tone: [] for tone in range(1, 11)}
    seed = given.seed
    while any(len(tiles) < COLUMNS for tiles in rows.values()):
        sample = prepare_sample(seed, (400, 300), textures)
        tiles = rows[monk_tone(sample.scene.case)]
        if len(tiles) < COLUMNS:
            tiles.append(tile(*sample.render()))
        seed += SAMPLES_PER_PATIENT + 1
    sheet = np.vstack([np.hstack(rows[tone]) for tone in rows])
    given.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(os.fspath(given.out), sheet[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
