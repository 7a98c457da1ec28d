from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.calibration.drawing import View, draw_sheet, expose, photograph

from bsa_vision.app import masks
from bsa_vision.app.masks import predict_masks, prediction_document
from bsa_vision.app.progress import ProgressEvent, silent
from bsa_vision.calibration.sheets import A4_CLASSIC
from bsa_vision.core.errors import InputError
from bsa_vision.pipeline import WORK_SIDE
from bsa_vision.segmentation.api import Segmentation
from bsa_vision.segmentation.card import SKIN_CLASSES


class _RedIsWound:
    """Code 1 where the photo is red, at half the photo's size."""

    name = "red"
    digest = "0" * 64
    classes: Mapping[int, str] = {0: "background", 1: "wound"}
    area_power = 1.0

    def segment(self, pixels: NDArray[np.uint8]) -> Segmentation:
        labels = (pixels[::2, ::2, 0] > 128).astype(np.uint8)
        probabilities = np.stack([255 * (1 - labels), 255 * labels], axis=-1).astype(np.uint8)
        return Segmentation(labels, probabilities)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(masks, "load_segmenter", lambda _: _RedIsWound())
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:, 40:, 0] = 255
    Image.fromarray(pixels).save(folder / "half.png")
    Image.fromarray(pixels).save(folder / "small.jpg", quality=95)
    (folder / "broken.jpg").write_bytes(b"not a photo")
    (folder / "notes.txt").write_text("not a photo either")
    return folder


def test_masks_have_the_photos_size_and_the_models_codes(photos: Path, tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    outcomes = predict_masks([photos], "red", tmp_path / "new" / "masks", events.append)
    assert [outcome.photo.name for outcome in outcomes] == ["broken.jpg", "half.png", "small.jpg"]
    broken, half, small = outcomes
    assert broken.mask is None
    assert broken.refused is not None
    assert half.mask is not None
    expected = np.zeros((80, 120), np.uint8)
    expected[:, 40:] = 1
    with Image.open(half.mask) as mask:
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask), expected)
    assert small.mask == tmp_path / "new" / "masks" / "small.png"
    assert [(event.done, event.total) for event in events] == [(1, 3), (2, 3), (3, 3)]
    document = prediction_document(outcomes, "red")
    assert [photo["mask"] is None for photo in document["photos"]] == [True, False, False]
    assert document["photos"][0]["reason"]


class _SkinSeen(_RedIsWound):
    """Keeps what it is shown."""

    def __init__(self, classes: Mapping[int, str]) -> None:
        self.classes = classes
        self.seen: list[NDArray[np.uint8]] = []

    def segment(self, pixels: NDArray[np.uint8]) -> Segmentation:
        self.seen.append(pixels)
        return super().segment(pixels)


@pytest.mark.parametrize(
    ("classes", "size", "cast"),
    # White paper in this light is (226, 209, 173) in sRGB; neutral once corrected.
    [
        (SKIN_CLASSES, (WORK_SIDE * 3 // 4, WORK_SIDE), 0),
        ({0: "background", 1: "wound"}, (900, 1200), 53),
    ],
    ids=["skin labels", "other labels"],
)
def test_only_a_model_of_the_skin_labels_sees_the_photo_as_score_prepares_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    classes: Mapping[int, str],
    size: tuple[int, int],
    cast: int,
) -> None:
    view = View(distance_mm=450.0, tilt_deg=10.0)
    sheet = [(draw_sheet(A4_CLASSIC, A4_CLASSIC.card), view.homography(A4_CLASSIC))]
    yellow = np.array([0.9, 0.75, 0.5], np.float32)
    pixels = expose(photograph(sheet, view.size) * yellow, 1.0)
    Image.fromarray(pixels).save(tmp_path / "sheet.png")
    segmenter = _SkinSeen(classes)
    monkeypatch.setattr(masks, "load_segmenter", lambda _: segmenter)
    (outcome,) = predict_masks([tmp_path / "sheet.png"], "skin", tmp_path / "out", silent)
    (seen,) = segmenter.seen
    assert seen.shape[1::-1] == size
    # Paper between the card and the lower markers.
    x, y, depth = view.homography(A4_CLASSIC) @ [105, 225, 1]
    column, row = (round(place / depth * size[0] / 900) for place in (x, y))
    paper = seen[row - 2 : row + 3, column - 2 : column + 3].mean(axis=(0, 1))
    # The correction is good to a few codes; the cast is many times that.
    assert np.ptp(paper) == pytest.approx(cast, abs=6)
    assert outcome.mask is not None
    with Image.open(outcome.mask) as mask:
        assert mask.size == (900, 1200)


def test_two_photos_of_one_name_are_refused(photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(photos / "half.jpg")
    with pytest.raises(InputError, match=r"half\.png"):
        predict_masks([photos], "red", tmp_path / "out", silent)


def test_a_mask_is_never_written_over_a_photo(photos: Path) -> None:
    before = (photos / "half.png").read_bytes()
    with pytest.raises(InputError, match="over the input"):
        predict_masks([photos], "red", photos, silent)
    assert (photos / "half.png").read_bytes() == before


def test_a_mask_that_cannot_be_written_is_named_and_the_others_are(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "half.png").mkdir(parents=True)
    _, half, small = predict_masks([photos], "red", out, silent)
    assert half.refused is not None
    assert half.refused.code == "mask_not_written"
    assert small.mask is not None
    assert not list(out.glob(".*.part"))


def test_an_output_that_is_a_file_is_an_input_error(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        predict_masks([photos], "red", tmp_path / "file", silent)


@pytest.mark.parametrize("name", ["none", "empty"])
def test_no_photos_is_an_input_error(photos: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        predict_masks([tmp_path / name], "red", photos / "out", silent)
