import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.segmentation.conftest import write_folder

from bsa_vision.core.errors import InputError
from bsa_vision.core.labels import LABEL_NAMES
from bsa_vision.segmentation.crops import Crops
from bsa_vision.segmentation.dataset import (
    IGNORED,
    check_codes,
    class_indices,
    read_training_folder,
    recoded,
    split_by_patient,
)


def crops(folder: Path, **changes: int) -> Crops:
    source = read_training_folder(folder)
    settings = {"side": 64, "long_side": 128, "count": 24, "seed": 5} | changes
    return Crops(source, source.split["train"], **settings)


def test_folder_is_read_as_described(training_folder: Path) -> None:
    folder = read_training_folder(training_folder)
    assert tuple(folder.classes.values()) == LABEL_NAMES
    assert {part: len(names) for part, names in folder.split.items()} == {
        "train": 16,
        "val": 4,
        "test": 4,
    }
    image, mask = folder.read("p00_0")
    assert image.shape == (120, 160, 3)
    assert mask.shape == (120, 160)


def test_digest_changes_with_one_pixel_and_not_with_the_place(tmp_path: Path) -> None:
    one = read_training_folder(write_folder(tmp_path / "one", 6))
    two = read_training_folder(write_folder(tmp_path / "two", 6))
    assert one.digest() == two.digest()
    path = two.masks["p00_0"]
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    mask[0, 0] ^= 1
    cv2.imwrite(str(path), mask)
    assert one.digest() != two.digest()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(0, 99))
def test_drawn_split_keeps_patients_whole_and_no_part_empty(sizes: list[int], seed: int) -> None:
    patients = {f"{p}_{i}": f"P{p}" for p, size in enumerate(sizes) for i in range(size)}
    split = split_by_patient(patients, seed)
    assert sorted(n for names in split.values() for n in names) == sorted(patients)
    owners = [{patients[n] for n in names} for names in split.values()]
    assert len(set.union(*owners)) == sum(len(o) for o in owners)
    filled = sum(bool(names) for names in split.values())
    assert filled == min(3, len(sizes))
    assert split["train"]


def test_a_patient_stays_in_its_part_when_others_come() -> None:
    patients = {f"p{i}": f"P{i}" for i in range(400)}
    before = split_by_patient(dict(list(patients.items())[:200]))
    after = split_by_patient(patients)
    assert all(set(before[part]) <= set(after[part]) for part in before)
    assert {part: len(names) / 400 for part, names in after.items()} == pytest.approx(
        {"train": 0.8, "val": 0.1, "test": 0.1}, abs=0.05
    )


def test_a_folder_without_split_gets_one_by_patient(tmp_path: Path) -> None:
    folder = read_training_folder(write_folder(tmp_path / "x", 12, split=False))
    parts = {folder.patients[n]: p for p, names in folder.split.items() for n in names}
    for part, names in folder.split.items():
        assert names
        assert all(parts[folder.patients[name]] == part for name in names)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": {"0": "only"}}, "two classes"),
        ({"classes": {"zero": "a", "1": "b"}}, "mask codes"),
        ({"classes": {"0": "a", "700": "b"}}, "0-255"),
        ({"split": {"train": ["nobody"]}}, "nobody"),
        ({"split": {"train": ["p00_0"], "val": ["p00_1"]}}, "in both train and val"),
        ({"split": {"train": [], "val": ["p00_1"]}}, "no training images"),
        ({"split": {"train": ["p00_0"], "valid": ["p01_1"]}}, "a part 'valid'"),
        ({"split": ["p00_0"]}, "split must be an object"),
        ({"patients": {"p00_0.png": "P1"}}, r"patients names 'p00_0\.png'"),
        ({"groups": {"p00_0": "head"}}, "groups of 'p00_0' must be an object"),
    ],
)
def test_contradictory_descriptions_are_refused(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    root = write_folder(tmp_path / "x", 6)
    document = json.loads((root / "dataset.json").read_text()) | change
    (root / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=words):
        read_training_folder(root)


def test_images_without_a_usable_mask_are_left_out_and_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    masks = root / "masks"
    cv2.imwrite(str(masks / "p00_0.png"), np.zeros((5, 5), np.uint8))
    (masks / "p00_1.png").unlink()
    (masks / "p01_0.png").write_bytes(b"no picture")
    folder = read_training_folder(root)
    assert folder.left_out == {
        "p00_0": "'p00_0' is 160x120 but its mask is 5x5",
        "p00_1": "there is no mask for 'p00_1'",
        "p01_0": "masks/p01_0.png cannot be decoded",
    }
    assert not set(folder.left_out) & {n for names in folder.split.values() for n in names}
    assert len(folder.images) == 9
    for path in masks.iterdir():
        path.unlink()
    with pytest.raises(InputError, match="no mask for 'p00_0'"):
        read_training_folder(root)
    with pytest.raises(InputError, match=r"dataset\.json is missing"):
        read_training_folder(tmp_path)


def test_own_classes_are_mapped_to_the_labels_of_the_chain(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    own = {"0": "cloth", "1": "skin", "9": "raw"}
    labels = {"cloth": "background", "skin": "unaffected", "raw": "detached"}
    document = {"classes": own, "labels": labels}
    (root / "dataset.json").write_text(json.dumps(document))
    for path in (root / "masks").iterdir():
        codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(codes < 2, codes, 9).astype(np.uint8))
    folder = read_training_folder(root)
    assert tuple(folder.classes.values()) == LABEL_NAMES
    assert set(np.unique(folder.read_codes("p00_0"))) <= {0, 1, 4}
    check_codes(folder)
    # A stray 4 or 2 is not the file's code of detached or red skin.
    assert recoded(np.array([[4, 9, 2]], np.uint8), {9: 4}).tolist() == [[IGNORED, 4, IGNORED]]
    stray = np.where(folder.stored_codes("p00_0") == 9, 2, 0).astype(np.uint8)
    kept = folder.masks["p00_0"].read_bytes()
    cv2.imwrite(str(folder.masks["p00_0"]), stray)
    with pytest.raises(InputError, match="codes of no class: 2"):
        check_codes(folder)
    folder.masks["p00_0"].write_bytes(kept)
    document["labels"]["raw"] = "wound"
    (root / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="'raw' is mapped to no label"):
        read_training_folder(root)


def test_codes_are_checked_before_training(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    folder = read_training_folder(root)
    empty = np.zeros((120, 160), np.uint8)
    cv2.imwrite(str(folder.masks[folder.split["train"][0]]), empty)
    # One empty mask among others is no reason to refuse.
    check_codes(folder)
    cv2.imwrite(str(folder.masks[folder.split["test"][0]]), empty + 9)
    with pytest.raises(InputError, match="codes of no class: 9"):
        check_codes(folder)
    cv2.imwrite(str(folder.masks[folder.split["test"][0]]), empty)
    for name in folder.split["train"]:
        mask = folder.read_codes(name).copy()
        mask[mask == 3] = 1
        cv2.imwrite(str(folder.masks[name]), mask)
    with pytest.raises(InputError, match="no pixel of detachable"):
        check_codes(folder)


def test_a_palette_mask_gives_its_codes_and_a_colour_mask_is_refused(tmp_path: Path) -> None:
    folder = read_training_folder(write_folder(tmp_path / "x", 6))
    path = folder.masks["p00_0"]
    codes = folder.read_codes("p00_0")
    palette = Image.fromarray(codes)
    palette.putpalette([channel for code in range(256) for channel in (255 - code, 40, 90)])
    palette.save(path)
    np.testing.assert_array_equal(folder.read("p00_0")[1], codes)
    palette.convert("RGB").save(path)
    with pytest.raises(InputError, match="got RGB"):
        folder.read("p00_0")


def test_codes_become_indices_and_unlisted_ones_are_ignored() -> None:
    mask = np.array([[0, 255, 7]], np.uint8)
    assert class_indices(mask, (0, 255)).tolist() == [[0, 1, IGNORED]]


def test_crops_are_a_function_of_seed_and_place(training_folder: Path) -> None:
    whole, again = crops(training_folder), crops(training_folder)
    later = crops(training_folder, first=10, count=5)
    other = crops(training_folder, seed=6)
    for i in (3, 11):
        assert np.array_equal(whole[i][0], again[i][0])
        assert np.array_equal(whole[i][1], again[i][1])
    assert np.array_equal(whole[11][0], later[1][0])
    assert not np.array_equal(whole[3][0], other[3][0])
    with pytest.raises(IndexError):
        whole[24]


def test_crops_have_the_asked_form_and_meet_rare_classes(training_folder: Path) -> None:
    seen = np.zeros(len(LABEL_NAMES), np.int64)
    for image, target in (crops(training_folder, count=24)[i] for i in range(24)):
        assert image.shape == (3, 64, 64)
        assert image.dtype == np.uint8
        assert target.shape == (64, 64)
        assert target[target != IGNORED].max() < len(LABEL_NAMES)
        seen += np.bincount(target.ravel(), minlength=256)[: len(LABEL_NAMES)]
    assert np.all(seen > 0)


def test_augmentation_moves_image_and_mask_together(training_folder: Path) -> None:
    # Where the crop's classes are not blurred into each other, detached skin (dark red in the
    # drawn photos) is redder than re-epithelialised skin (yellow) in green and blue, whatever the
    # light; were image and mask moved apart, the two means would be alike.
    source = crops(training_folder, count=40)
    differences = []
    for i in range(40):
        image, target = source[i]
        if min((target == 4).sum(), (target == 5).sum()) > 100:
            green = image[1].astype(float)
            differences.append(green[target == 5].mean() - green[target == 4].mean())
    assert len(differences) >= 3
    assert min(differences) > 60


def test_two_images_of_one_name_are_refused_and_other_files_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    (root / "images" / "notes.txt").write_text("no photo")
    assert "no photo by its name" in read_training_folder(root).left_out["notes"]
    (root / "images" / "p00_0.jpg").write_bytes((root / "images" / "p00_0.png").read_bytes())
    with pytest.raises(InputError, match="would share a mask"):
        read_training_folder(root)


def test_a_photo_turned_by_its_exif_fits_a_mask_as_displayed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(root / "images" / "p00_0.png") as upright:
        turned = upright.transpose(Image.Transpose.ROTATE_90)
    (root / "images" / "p00_0.png").unlink()
    turned.save(root / "images" / "p00_0.jpg", exif=exif, quality=95)
    folder = read_training_folder(root)
    assert not folder.left_out
    image, mask = folder.read("p00_0")
    assert image.shape[:2] == mask.shape == (120, 160)


def test_a_damaged_mask_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    path = root / "masks" / "p00_0.png"
    path.write_bytes(path.read_bytes()[:300])
    folder = read_training_folder(root)
    assert set(check_codes(folder)) == {"p00_0"}


def test_crops_wider_than_the_photo_keep_its_proportions(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    for path in (root / "images").iterdir():
        mask = np.zeros((120, 160), np.uint8)
        cv2.circle(mask, (80, 60), 30, 1, -1)
        cv2.imwrite(str(path), np.dstack([mask * 200] * 3))
        cv2.imwrite(str(root / "masks" / path.name), mask)
    drawn = crops(root, side=256, count=40)
    met = 0
    for i in range(40):
        _, target = drawn[i]
        disc = target == 1
        rows, columns = np.flatnonzero(disc.any(axis=1)), np.flatnonzero(disc.any(axis=0))
        if (target == IGNORED).any() and not (disc[[0, -1]].any() or disc[:, [0, -1]].any()):
            met += 1
            # Within what the augmentation turns and shears.
            assert 0.8 < len(rows) / len(columns) < 1.25
    assert met > 10


def test_patients_of_some_photos_only_are_not_told_apart(tmp_path: Path) -> None:
    """The other photos could be of the same people, in another part."""
    root = write_folder(tmp_path / "x", 6, split=False)
    assert read_training_folder(root).patients_given
    document = json.loads((root / "dataset.json").read_text())
    document["patients"].popitem()
    (root / "dataset.json").write_text(json.dumps(document))
    assert not read_training_folder(root).patients_given
