import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bsa_vision.core.errors import InputError
from bsa_vision.core.labels import LABEL_NAMES, Label
from bsa_vision.phantom import training
from bsa_vision.phantom.render import render
from bsa_vision.phantom.training import (
    MIDDLE_TONES,
    SAMPLES_PER_PATIENT,
    PhotoMix,
    prepare_sample,
    render_sample,
    write_training_set,
)
from bsa_vision.phantom.views import DEFAULT_VIEWS

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
    for seed in range(0, 24 * 5, 5):
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


def test_parts_rendered_apart_are_the_whole(tmp_path):
    count = 3 * SAMPLES_PER_PATIENT
    for part in (1, 2):
        assert not (tmp_path / "dataset.json").exists()
        write_training_set(tmp_path, count, 0, size=_SIZE, shard=(part, 2))
    document = json.loads((tmp_path / "dataset.json").read_text("utf-8"))
    assert len(list((tmp_path / "images").iterdir())) == count
    assert set(document["groups"]) == set(document["patients"])
    tones = {
        document["patients"][name]: group["skin_tone"] for name, group in document["groups"].items()
    }
    for name, group in document["groups"].items():
        assert group["skin_tone"] == tones[document["patients"][name]]
        assert group["skin_tone"] in {f"Monk {tone:02d}" for tone in range(1, 11)}
        assert group["view"]


def test_photos_that_are_there_keep_what_is_known_of_them(tmp_path, monkeypatch):
    write_training_set(tmp_path, SAMPLES_PER_PATIENT, 0, size=_SIZE)
    before = (tmp_path / "dataset.json").read_bytes()
    monkeypatch.setattr(training, "prepare_sample", None)
    write_training_set(tmp_path, SAMPLES_PER_PATIENT, 0, size=_SIZE)
    assert (tmp_path / "dataset.json").read_bytes() == before


def test_a_mix_leaves_out_training_patients_of_middle_tones_and_no_others(tmp_path):
    first = 32  # its patients 8 and 9 are of the other parts
    write_training_set(tmp_path, 24, first, size=_SIZE, mix=PhotoMix(usual=1.0, middle=0.0))
    document = json.loads((tmp_path / "dataset.json").read_text("utf-8"))
    assert len(document["split"]["val"]) == len(document["split"]["test"]) == SAMPLES_PER_PATIENT
    learnt = document["split"]["train"]
    assert {document["groups"][name]["skin_tone"] for name in learnt}.isdisjoint(
        f"Monk {tone:02d}" for tone in MIDDLE_TONES
    )
    assert 0 < len(learnt) < 16
    assert {document["views"][name] for name in learnt} <= set(DEFAULT_VIEWS)
    assert len(list((tmp_path / "images").iterdir())) == len(document["patients"])


def test_late_photos_are_the_same_usual_ones_on_a_day_of_healing():
    usual, late = (
        [prepare_sample(seed, _SIZE, mix=PhotoMix(usual=1.0, late=share)) for seed in range(12)]
        for share in (0.0, 1.0)
    )
    assert {sample.scene.day for sample in late} == {7.0, 10.0, 15.0}
    assert min(sample.scene.day for sample in usual) < 7
    assert [sample.framing for sample in late] == [sample.framing for sample in usual]


def test_held_out_photos_are_read_by_the_card_on_the_sheet_as_in_use(monkeypatch):
    lights = []

    def read(photo, light, _):
        lights.append(light)
        return photo

    monkeypatch.setattr(training, "_corrected", read)
    monkeypatch.setattr(training, "_CORRECTED_SHARE", 0.0)
    held_out = prepare_sample(8 * SAMPLES_PER_PATIENT, (640, 480))
    shown = render(held_out.scene).sheet_light
    assert shown is not None
    held_out.render()
    # To learn from, some photos keep the colours that the camera gave them.
    prepare_sample(3, _SIZE, mix=PhotoMix(usual=1.0)).render()
    (light,) = lights
    np.testing.assert_array_equal(light, shown)


@pytest.mark.parametrize("other", [{"seed": 4}, {"size": (128, 96)}, {"mix": PhotoMix(usual=1.0)}])
def test_other_settings_do_not_go_on_in_the_folder(tmp_path, other):
    begun = {"seed": 0, "size": _SIZE}
    write_training_set(tmp_path, 0, **begun)
    with pytest.raises(InputError, match=rf"other settings \({next(iter(other))}\)"):
        write_training_set(tmp_path, 0, **begun | other)
    write_training_set(tmp_path, 0, **begun)


def test_photos_of_unknown_settings_are_not_kept(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "phantom_0000000.jpg").write_bytes(b"of another version")
    with pytest.raises(InputError, match=r"no rendering\.json"):
        write_training_set(tmp_path, 1, 0, size=_SIZE)


def test_a_full_disk_is_an_error_and_leaves_no_half_picture(tmp_path, monkeypatch):
    def run_full(path, data):
        if path.parent.name == "masks":
            path.open("wb").close()
            raise OSError(28, "No space left on device")
        with path.open("wb") as file:
            return file.write(data)

    blank = np.zeros((8, 6, 3), np.uint8)
    monkeypatch.setattr(training, "render_sample", lambda *_: (blank, blank[..., 0]))
    monkeypatch.setattr(Path, "write_bytes", run_full)
    with pytest.raises(OSError, match="No space left"):
        write_training_set(tmp_path, 1, 0, size=_SIZE)
    assert not list((tmp_path / "masks").iterdir())
    assert not (tmp_path / "dataset.json").exists()


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(tmp_path):
    for workers in (1, 2):
        write_training_set(tmp_path / str(workers), 9, 0, workers, size=_SIZE)
    one, two = (
        {f.relative_to(tmp_path / n): f.read_bytes() for f in (tmp_path / n).rglob("*.*")}
        for n in ("1", "2")
    )
    assert one == two
