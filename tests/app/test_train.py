import json
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from tests.segmentation.conftest import write_folder

from bsa_vision.app.train import _long_side, _prepare, train_model
from bsa_vision.core.errors import InputError
from bsa_vision.core.labels import LABEL_NAMES
from bsa_vision.pipeline import WORK_SIDE
from bsa_vision.segmentation.card import find_model, read_card
from bsa_vision.segmentation.dataset import TrainingFolder, check_codes, read_training_folder


def prepared(root: Path, out: Path, max_side: int = 80) -> tuple[TrainingFolder, dict[str, str]]:
    folder = read_training_folder(root)
    refused = _prepare(folder, check_codes(folder), out, max_side, lambda _: None)
    return read_training_folder(out), refused


def test_photos_are_kept_as_training_needs_them(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    source = read_training_folder(root)
    copy, refused = prepared(root, tmp_path / "copy")
    assert not refused
    image, mask = copy.read("p00_0")
    assert (image.shape, mask.shape) == ((60, 80, 3), (60, 80))
    assert copy.split == source.split
    assert copy.patients == source.patients
    # The copies are other files, but the photos are known again.
    assert copy.photo_digests() == source.photo_digests()
    written = copy.images["p00_0"].stat().st_mtime_ns
    assert prepared(root, tmp_path / "copy")[0].images["p00_0"].stat().st_mtime_ns == written


def test_own_codes_become_the_chains_and_small_photos_stay(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    labels = {name.upper(): name for name in LABEL_NAMES}
    document = json.loads((root / "dataset.json").read_text())
    document |= {
        "classes": {str(10 + code): name.upper() for code, name in enumerate(LABEL_NAMES)},
        "labels": labels,
    }
    (root / "dataset.json").write_text(json.dumps(document))
    plain = cv2.imread(str(root / "masks" / "p00_0.png"), cv2.IMREAD_UNCHANGED)
    for path in (root / "masks").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) + 10)
    copy, _ = prepared(root, tmp_path / "copy", max_side=1000)
    assert tuple(copy.classes.values()) == LABEL_NAMES
    np.testing.assert_array_equal(copy.read("p00_0")[1], plain)


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", 6)
    for path in (root / "images" / "p00_0.png", root / "masks" / "p01_0.png"):
        path.write_bytes(path.read_bytes()[:400])
    left_out = read_training_folder(root).left_out
    copy, refused = prepared(root, tmp_path / "copy")
    assert {*left_out, *refused} == {"p00_0", "p01_0"}
    assert len(copy.images) == 10


def test_a_model_is_not_trained_over(tmp_path: Path) -> None:
    root, model = write_folder(tmp_path / "x", 6), tmp_path / "model"
    model.mkdir()
    (model / "card.json").write_text("{}")
    with pytest.raises(InputError, match="holds a model already"):
        train_model(
            root,
            model,
            init=None,
            steps=1,
            minutes=None,
            long_side=None,
            seed=0,
            report=lambda _: None,
        )


def test_the_skin_states_have_the_resolution_of_scoring(tmp_path: Path) -> None:
    folder = read_training_folder(write_folder(tmp_path / "x", 6))
    assert _long_side(folder, None, None) == 256
    start = read_card(find_model("skin-states-1"))
    assert _long_side(folder, start, None) == 512
    assert _long_side(folder, start, 640) == 640
    with pytest.raises(InputError, match=f"long side of {WORK_SIDE}"):
        _long_side(folder, None, WORK_SIDE + 32)


@pytest.mark.parametrize(("kind", "ending"), [("HEIF", "heic"), ("TIFF", "tif"), ("JPEG", "jpg")])
def test_photos_of_phones_and_scanners_are_prepared_upright(
    tmp_path: Path, kind: str, ending: str
) -> None:
    pillow_heif.register_heif_opener()
    root = write_folder(tmp_path / "x", 6)
    exif = Image.Exif()
    exif[0x0112] = 6
    old = root / "images" / "p00_0.png"
    with Image.open(old) as upright:
        wanted = np.asarray(upright, np.float64)
        # What a camera held upright stores, and how it is to be turned.
        stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(old.with_suffix(f".{ending}"), format=kind, exif=exif.tobytes(), quality=95)
    old.unlink()
    copy, refused = prepared(root, tmp_path / "copy", max_side=1000)
    assert not refused
    assert "p00_0" in copy.images
    image, mask = copy.read("p00_0")
    assert mask.shape == wanted.shape[:2]
    assert np.abs(image - wanted).mean() < 12
