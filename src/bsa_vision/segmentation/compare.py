"""Compare two folders of masks: what `bsa-vision evaluate` prints. No torch."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation.metrics import agreement_document, confusion

FORMAT = "bsa-vision-evaluation/1"


def compare_folders(predicted: Path, truth: Path) -> dict[str, Any]:
    """Pool the agreement of every true mask with the predicted mask of the same name.

    Parameters
    ----------
    predicted : folder of ``NAME.png`` masks of codes.
    truth : a folder of the same kind, or a training folder, whose ``dataset.json`` then names the
        classes; without it every code that occurs is a class.

    Returns
    -------
    A JSON-able document; ``missing`` lists true masks without a prediction, which are left out.

    Raises
    ------
    InputError
        When there is nothing to compare, or a pair differs in size or holds unknown codes.
    """
    masks = truth / "masks" if (truth / "masks").is_dir() else truth
    names = [path.name for path in sorted(masks.glob("*.png"))]
    present = [name for name in names if (predicted / name).is_file()]
    if not present:
        msg = f"No mask of {masks} has a prediction of the same name in {predicted}."
        raise InputError(msg, "Both folders must hold NAME.png with the same names.")
    classes = _classes(truth, masks, predicted, present)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for name in present:
        try:
            counts += confusion(_mask(masks / name), _mask(predicted / name), tuple(classes))
        except ValueError as error:
            msg = f"{name}: {error}."
            raise InputError(msg, "Predict the mask again with the right model.") from error
    return {
        "format": FORMAT,
        "images": len(present),
        "missing": [name for name in names if name not in set(present)],
        **agreement_document(counts, classes),
    }


def _mask(path: Path) -> NDArray[np.uint8]:
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        msg = f"{path} cannot be decoded."
        raise InputError(msg, "Replace the file.")
    return np.asarray(mask, np.uint8)


def _classes(truth: Path, masks: Path, predicted: Path, names: list[str]) -> dict[int, str]:
    description = truth / "dataset.json"
    if description.is_file():
        given = json.loads(description.read_text(encoding="utf-8"))["classes"]
        return dict(sorted((int(code), str(name)) for code, name in given.items()))
    seen: set[int] = set()
    for name in names:
        for folder in (masks, predicted):
            seen.update(int(code) for code in np.unique(_mask(folder / name)))
    return {code: str(code) for code in sorted(seen)}
