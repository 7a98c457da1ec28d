"""Dense placement: its files, views, samples, training and graph."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bsa_vision.app.series import View
from bsa_vision.core.errors import InputError
from bsa_vision.core.labels import Label
from bsa_vision.core.views import VIEW_NAMES as VIEWS
from bsa_vision.dense.api import STRIDE, contradicting_view, mirrored_view, view_number
from bsa_vision.dense.find import load_place_finder
from bsa_vision.dense.model import CHANNELS, PlaceNetwork, place_loss, read
from bsa_vision.dense.place_file import encode_places, read_places
from bsa_vision.dense.samples import PlacePhotos
from bsa_vision.dense.train import (
    _OWN_LAYERS,
    PlaceSettings,
    export_places,
    settle_views,
    train_places,
)
from bsa_vision.phantom.training import write_training_set
from bsa_vision.segmentation.dataset import read_training_folder
from bsa_vision.segmentation.model import normalise, take_over
from bsa_vision.segmentation.train import NETWORK

_SETTINGS = PlaceSettings(
    long_side=128, steps=3, batch=2, val_every=3, val_images=2, view_batches=4
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos of a patient of each part: numbers 7, 8 and 9."""
    out = tmp_path_factory.mktemp("photos")
    write_training_set(out, 12, 28, size=(256, 192))
    return out


def test_the_views_are_those_of_a_series():
    assert View.__args__ == VIEWS
    assert [view_number(view) for view in ("whole_front", "feet_plantar", "")] == [1, 20, 0]


def test_a_mirror_image_shows_the_other_side():
    assert mirrored_view("arm_left_back") == "arm_right_back"
    assert mirrored_view("trunk_front") == "trunk_front"
    assert all(mirrored_view(mirrored_view(view)) == view for view in VIEWS)


def _shown(**views: float) -> np.ndarray:
    """Probabilities of views, the rest for none."""
    of_all = np.zeros(len(VIEWS) + 1, np.float32)
    for name, probability in views.items():
        of_all[view_number(name)] = probability
    of_all[0] = 1 - of_all.sum()
    return of_all


def test_a_view_that_the_photo_rules_out_is_contradicted():
    other_arm = _shown(arm_right_front=0.97, arm_right_back=0.02, arm_left_front=0.01)
    instead = contradicting_view(other_arm, "arm_left_front")
    assert instead is not None
    assert instead[0] == "arm_right_front"
    assert instead[1] == pytest.approx(0.97)
    assert contradicting_view(other_arm, "arm_right_front") is None
    assert contradicting_view(other_arm, "") is None
    back = _shown(trunk_back=1.0)
    assert contradicting_view(back, "trunk_front") is not None
    assert contradicting_view(back, "head_front") is not None
    assert contradicting_view(_shown(feet_plantar=1.0), "hands_palmar") is not None


def test_what_may_be_taken_for_the_stated_view_does_not_contradict_it():
    assert contradicting_view(_shown(trunk_front=0.99), "whole_front") is None
    assert contradicting_view(_shown(whole_back=0.99), "legs_back") is None
    assert contradicting_view(_shown(head_front=0.99), "trunk_front") is None
    assert contradicting_view(_shown(whole_front=0.99), "arm_left_front") is None
    # Obliquely from the front.
    assert contradicting_view(_shown(trunk_left=0.99), "trunk_front") is None
    # A close-up, and a photo that nothing is sure of.
    assert contradicting_view(_shown(arm_left_back=0.5), "head_front") is None
    unsure = _shown(arm_left_front=0.8, arm_right_front=0.2)
    assert contradicting_view(unsure, "arm_right_front") is None


def test_places_are_stored_to_a_twentieth_of_a_millimetre(tmp_path):
    places = np.random.default_rng(0).uniform(-0.9, 0.9, (5, 7, 3)).astype(np.float32)
    places[0, :3] = np.nan
    cv2.imwrite(str(tmp_path / "a.png"), encode_places(places))
    found, skin = read_places(tmp_path / "a.png")
    assert (skin == ~np.isnan(places[..., 0])).all()
    np.testing.assert_allclose(found[skin], places[skin], atol=3e-5)


def test_a_picture_that_is_none_of_places_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="16-bit"):
        read_places(tmp_path / "a.png")


def test_skin_of_the_mask_has_places(folder):
    for mask_file in sorted((folder / "masks").glob("*.png")):
        mask = cv2.imread(str(mask_file), cv2.IMREAD_UNCHANGED)
        places, skin = read_places(folder / "places" / mask_file.name)
        assert skin.shape == (mask.shape[0] // 4, mask.shape[1] // 4)
        # What is not assessable may be a glove in front of it.
        states = ((mask > 0) & (mask < Label.NOT_ASSESSABLE)).astype(np.uint8)
        inner = cv2.erode(states, np.ones((5, 5)))[2::4, 2::4] > 0
        assert skin[inner].mean() > 0.99
        assert np.abs(places[skin]).max() < 1.0


def test_a_sample_shows_each_pixel_where_it_is(folder):
    photos = PlacePhotos(read_training_folder(folder), "train", 128)
    plain = photos.plain(0)
    places, skin = read_places(folder / "places" / f"{photos.names[0]}.png")
    assert plain.images.shape[2:] in {(128, 96), (96, 128)}
    assert plain.inside.all()
    rows, columns = plain.skin.shape[1:]
    small = places[1::2, 1::2][:rows, :columns]
    both = plain.skin[0].numpy() & skin[1::2, 1::2][:rows, :columns]
    away = np.linalg.norm(plain.places[0].numpy() - small, axis=2)[both]
    assert np.median(away) < 0.03


def test_a_batch_is_a_function_of_its_number_and_knows_left_from_right(folder):
    photos = PlacePhotos(read_training_folder(folder), "train", 128)
    one, again, other = (photos.batch(item, 2, seed=0) for item in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one.images, other.images)
    sides = [float(photos.batch(item, 2, 0).places[..., 0].sum()) for item in range(8)]
    assert min(sides) < 0 < max(sides)  # mirrored ones among them


def test_the_loss_falls_with_the_error_and_is_least_at_its_spread():
    places = torch.full((1, 4, 4, 3), 0.3)
    skin = inside = torch.ones((1, 4, 4), dtype=torch.bool)

    def loss(x: float, log_spread: float) -> float:
        raw = torch.zeros((1, CHANNELS, 4, 4))
        raw[:, 1:4] = 1.0
        raw[:, 1], raw[:, 4] = x, log_spread
        return float(place_loss(raw, places, skin, inside))

    assert loss(1.0, -1.0) < loss(1.2, -1.0) < loss(2.0, -1.0)
    # An error of 0.3 m in one coordinate of three: a mean of 0.1 m.
    assert loss(2.0, 0.0) < min(loss(2.0, 0.5), loss(2.0, -0.5))
    _, place, log_spread, _ = read(torch.zeros((1, CHANNELS, 1, 1)))
    assert float(place.abs().max()) == 0
    assert float(log_spread.exp()) == pytest.approx(0.1, rel=1e-4)


def test_a_model_is_trained_taken_up_again_exported_and_run(folder, tmp_path):
    lines: list[dict] = []
    train_places(folder, tmp_path / "run", None, _SETTINGS, lines.append)
    assert set(lines[-1]["places"]) == {"median_mm", "p90_mm", "side", "iou", "view"}
    train_places(folder, tmp_path / "run", None, _SETTINGS, lines.append)
    assert len(lines) == 1
    card = export_places(tmp_path / "run", folder, tmp_path / "m-1", _SETTINGS, {"steps": 3})
    finder = load_place_finder(tmp_path / "m-1", threads=1)
    assert (finder.name, finder.digest) == ("m-1", card.digest)
    photo = cv2.imread(str(next((folder / "images").iterdir())), cv2.IMREAD_COLOR_RGB)
    found = finder.find(photo, "trunk_front")
    width, height = found.size
    assert max(found.size) == 128
    assert found.skin.shape == (-(-height // STRIDE), -(-width // STRIDE))
    assert found.places.shape == (*found.skin.shape, 3)
    for probability in (found.skin, found.left):
        assert 0 <= probability.min() <= probability.max() <= 1
    assert found.spread.min() > 0
    assert found.views.shape == (len(VIEWS) + 1,)
    assert found.views.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(finder.find(photo, "trunk_front").places, found.places)


def test_a_training_goes_on_from_a_model_of_placement(folder, tmp_path):
    train_places(folder, tmp_path / "run", None, _SETTINGS)
    export_places(tmp_path / "run", folder, tmp_path / "m-1", _SETTINGS, {})
    none = replace(_SETTINGS, steps=1, learning_rate=0.0, weight_decay=0.0)
    train_places(folder, tmp_path / "again", str(tmp_path / "m-1"), none)
    export_places(tmp_path / "again", folder, tmp_path / "m-2", none, {})
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("m-1", "m-2"))
    learnt = [name for name in one if name.endswith(("head.weight", "late.weight", "deep.weight"))]
    assert len(learnt) == 3
    assert all(torch.equal(one[name], two[name]) for name in learnt)


def test_a_model_that_is_not_whole_is_none_to_start_from(folder, tmp_path):
    train_places(folder, tmp_path / "run", None, _SETTINGS)
    export_places(tmp_path / "run", folder, tmp_path / "m-1", _SETTINGS, {})
    file = tmp_path / "m-1" / "weights.safetensors"
    weights = load_file(file)
    network = PlaceNetwork(_SETTINGS.architecture, 256, 64)
    take_over(network, weights, "m-1")
    own = next(name for name in weights if name.startswith("late."))
    take_over(network, {k: v for k, v in weights.items() if k != own}, "m-1", _OWN_LAYERS)
    gone = next(name for name in weights if name.startswith("base.encoder."))
    weights[f"{gone}s"] = weights.pop(gone)
    with pytest.raises(InputError, match=f"'m-1': 2 layers do not fit, the first is {gone}"):
        take_over(network, weights, "m-1", _OWN_LAYERS)
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    file.write_bytes(whole)
    with pytest.raises(InputError, match="weights"):
        train_places(folder, tmp_path / "again", str(tmp_path / "m-1"), _SETTINGS)


def test_the_layer_that_names_views_is_settled_on_the_photos(folder):
    photos = PlacePhotos(read_training_folder(folder), "train", 128)
    torch.manual_seed(0)
    network = PlaceNetwork(NETWORK, 256, 64)
    batches = [photos.batch(item, 2, _SETTINGS.seed) for item in range(3, 3 + 4)]

    def right() -> float:
        network.eval()
        with torch.inference_mode():
            shown = [network(normalise(batch.images), batch.view)[1].argmax(1) for batch in batches]
        true = torch.cat([batch.true_view for batch in batches])
        return float((torch.cat(shown) == true).float().mean())

    before = right()
    settle_views(network, photos, _SETTINGS)
    assert right() == 1.0 > before


def test_a_missing_model_says_what_to_do():
    with pytest.raises(InputError, match="no model of placement"):
        load_place_finder("nothing")
