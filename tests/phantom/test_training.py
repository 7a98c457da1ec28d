import json

import cv2
import numpy as np
import pytest

from bsa_vision.core.labels import LABEL_NAMES, Label
from bsa_vision.phantom.training import SAMPLES_PER_PATIENT, render_sample, write_training_set

_SIZE = (96, 128)


def test_a_seed_is_a_photo():
    image, mask = render_sample(11, _SIZE)
    assert image.shape == (128, 96, 3)
    assert mask.shape == (128, 96)
    assert image.dtype == mask.dtype == np.uint8
    assert mask.max() < len(Label)
    again, mask_again = render_sample(11, _SIZE)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(mask, mask_again)


def test_the_samples_hold_every_class():
    counts = np.zeros(len(Label), int)
    for seed in range(0, 14 * 5, 5):
        _, mask = render_sample(seed, _SIZE)
        counts += np.bincount(mask.ravel(), minlength=len(Label))
    share = counts / counts.sum()
    assert np.all(share > 0.005), dict(zip(LABEL_NAMES, share.round(4).tolist(), strict=True))


def test_a_training_folder(tmp_path):
    seen: list[tuple[int, int]] = []
    count = SAMPLES_PER_PATIENT + 1
    write_training_set(
        tmp_path, count, 8, size=_SIZE, progress=lambda done, total: seen.append((done, total))
    )
    document = json.loads((tmp_path / "dataset.json").read_text("utf-8"))
    names = sorted(document["patients"])
    assert len(names) == count
    assert len(set(document["patients"].values())) == 2
    assert document["classes"] == {str(code): name for code, name in enumerate(LABEL_NAMES)}
    assert sorted(name for part in document["split"].values() for name in part) == names
    for name in names:
        image = cv2.imread(str(tmp_path / "images" / f"{name}.jpg"))
        mask = cv2.imread(str(tmp_path / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert image.shape[:2] == mask.shape
        assert mask.shape in {(128, 96), (96, 128)}
    assert seen[-1] == (count, count)

    kept = tmp_path / "images" / f"{names[0]}.jpg"
    kept.write_bytes(b"already there")
    (tmp_path / "images" / f"{names[1]}.jpg").unlink()
    write_training_set(tmp_path, count, 8, size=_SIZE)
    assert kept.read_bytes() == b"already there"
    assert (tmp_path / "images" / f"{names[1]}.jpg").exists()


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(tmp_path):
    for workers in (1, 2):
        write_training_set(tmp_path / str(workers), 9, 0, workers, size=_SIZE)
    one, two = (
        {f.relative_to(tmp_path / n): f.read_bytes() for f in (tmp_path / n).rglob("*.*")}
        for n in ("1", "2")
    )
    assert one == two
