import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bsa_vision.app.evaluate import evaluate_masks
from bsa_vision.app.progress import silent
from bsa_vision.core.errors import InputError


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "masks"
    folder.mkdir(parents=True)
    (tmp_path / "pred").mkdir()
    return folder


def _save(folder: Path, name: str, rows: list[list[int]]) -> None:
    Image.fromarray(np.array(rows, np.uint8)).save(folder / name)


def test_agreement_pools_pixels_over_pairs(truth: Path, tmp_path: Path) -> None:
    pred = tmp_path / "pred"
    _save(truth, "a.png", [[4, 4, 1, 1]])
    _save(pred, "a.png", [[4, 1, 1, 1]])
    _save(truth, "b.png", [[1, 1, 1, 4]])
    _save(pred, "b.png", [[1, 1, 4, 4]])
    document = evaluate_masks(pred, truth, silent)
    rows = {row["name"]: row for row in document["classes"]}
    # Detached: 3 true and 3 predicted pixels, 2 in common; unaffected: 5, 5 and 4.
    assert set(rows) == {"unaffected", "detached"}
    assert rows["detached"]["dice"] == pytest.approx(4 / 6)
    assert rows["unaffected"]["dice"] == pytest.approx(8 / 10)
    assert document["confusion"]["counts"] == [[4, 1], [1, 2]]
    assert (document["compared"], document["failed"]) == (2, [])


def test_classes_are_named_after_the_dataset(truth: Path, tmp_path: Path) -> None:
    listing: dict[str, object] = {"classes": {"0": "background", "1": "wound"}}
    (truth.parent / "dataset.json").write_text(json.dumps(listing))
    _save(truth, "a.png", [[0, 0]])
    _save(tmp_path / "pred", "a.png", [[0, 7]])
    rows = {row["name"]: row for row in evaluate_masks(tmp_path / "pred", truth, silent)["classes"]}
    assert list(rows) == ["background", "wound", "code 7"]
    # Nothing is a wound in either mask: no ratio, rather than a perfect one.
    assert rows["wound"]["dice"] is None


def test_pairs_that_cannot_be_compared_are_listed(truth: Path, tmp_path: Path) -> None:
    pred = tmp_path / "pred"
    for name in ("good.png", "missing.png", "size.png", "colour.png", "broken.png"):
        _save(truth, name, [[0, 1]])
    _save(pred, "good.png", [[0, 1]])
    _save(pred, "size.png", [[0, 1, 1]])
    Image.new("RGB", (2, 1)).save(pred / "colour.png")
    (pred / "broken.png").write_bytes(b"")
    document = evaluate_masks(pred, truth, silent)
    assert document["compared"] == 1
    assert document["pixels"] == 2
    reasons = {failure["file"]: failure["reason"] for failure in document["failed"]}
    assert set(reasons) == {"missing.png", "size.png", "colour.png", "broken.png"}
    assert "2x1 and 3x1" in reasons["size.png"]


def test_missing_folders_are_input_errors(truth: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none"):
        evaluate_masks(tmp_path / "none", truth, silent)
    with pytest.raises(InputError, match=r"NAME\.png"):
        evaluate_masks(tmp_path / "pred", truth, silent)


def test_each_image_and_each_group_has_its_dice(truth: Path, tmp_path: Path) -> None:
    pred = tmp_path / "pred"
    listing = {
        "classes": {"0": "background", "1": "wound"},
        "groups": {"a": {"view": "arm"}, "b": {"view": "arm"}, "c": {"view": "head"}},
    }
    (truth.parent / "dataset.json").write_text(json.dumps(listing))
    for name, true, found in (("a", [1, 1], [1, 1]), ("b", [1, 0], [0, 0]), ("c", [0, 0], [0, 0])):
        _save(truth, f"{name}.png", [true])
        _save(pred, f"{name}.png", [found])
    document = evaluate_masks(pred, truth, silent)
    wound = document["classes"][1]
    # Pooled: 3 true, 2 found, 2 in common. Image c holds no wound in either mask.
    assert wound["dice"] == pytest.approx(0.8)
    assert wound["per_image"] == {"images": 2, "mean_dice": 0.5, "median_dice": 0.5}
    assert wound["area_bias_percent"] == pytest.approx(-100 / 3)
    views = document["groups"]["view"]
    assert views["arm"]["images"] == 2
    assert views["arm"]["dice"]["wound"] == pytest.approx(0.8)
    assert views["head"]["dice"] == {"background": 1.0, "wound": None}


def test_only_the_named_masks_are_compared(truth: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        _save(truth, f"{name}.png", [[0, 1]])
        _save(tmp_path / "pred", f"{name}.png", [[0, 1]])
    names = tmp_path / "names.txt"
    names.write_text("b\n")
    assert evaluate_masks(tmp_path / "pred", truth, silent, names)["compared"] == 1
    names.write_text("b\nnobody\n")
    with pytest.raises(InputError, match="'nobody'"):
        evaluate_masks(tmp_path / "pred", truth, silent, names)


def test_true_masks_are_read_in_the_labels_they_are_mapped_to(truth: Path, tmp_path: Path) -> None:
    listing = {
        "classes": {"0": "bed", "1": "raw"},
        "labels": {"bed": "background", "raw": "detached"},
    }
    (truth.parent / "dataset.json").write_text(json.dumps(listing))
    # 4 is no code of the clinic's: it is left out, not taken for detached skin.
    _save(truth, "a.png", [[0, 1, 1, 4]])
    _save(tmp_path / "pred", "a.png", [[0, 4, 0, 4]])
    rows = {r["name"]: r for r in evaluate_masks(tmp_path / "pred", truth, silent)["classes"]}
    assert (rows["detached"]["true_pixels"], rows["detached"]["predicted_pixels"]) == (2, 1)
