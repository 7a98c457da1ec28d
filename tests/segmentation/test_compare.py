import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation.compare import compare_folders


def write(folder: Path, name: str, mask: list[list[int]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), np.array(mask, np.uint8))


def test_masks_are_pooled_by_name(tmp_path: Path) -> None:
    truth, predicted = tmp_path / "truth", tmp_path / "predicted"
    write(truth, "a.png", [[0, 1]])
    write(truth, "b.png", [[1, 1]])
    write(truth, "c.png", [[1, 1]])
    write(predicted, "a.png", [[0, 1]])
    write(predicted, "b.png", [[0, 1]])
    document = compare_folders(predicted, truth)
    assert document["images"] == 2
    assert document["missing"] == ["c.png"]
    assert document["confusion"]["counts"] == [[1, 0], [1, 2]]
    assert document["classes"][1]["dice"] == pytest.approx(4 / 5)


def test_training_folder_names_the_classes(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    write(truth / "masks", "a.png", [[0, 255]])
    (truth / "dataset.json").write_text(
        json.dumps({"classes": {"0": "background", "255": "wound"}})
    )
    write(tmp_path / "predicted", "a.png", [[0, 255]])
    document = compare_folders(tmp_path / "predicted", truth)
    assert [c["name"] for c in document["classes"]] == ["background", "wound"]
    write(tmp_path / "predicted", "a.png", [[0, 3]])
    with pytest.raises(InputError, match=r"a.png: .*\[3\]"):
        compare_folders(tmp_path / "predicted", truth)


def test_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No mask"):
        compare_folders(tmp_path, tmp_path)
