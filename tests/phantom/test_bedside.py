import numpy as np
import pytest

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.phantom.bedside import (
    _alongside,
    _drawn_up,
    _on_belly,
    _raised,
    _turn,
    bedside_pose,
)
from bsa_vision.phantom.patient import random_patient
from bsa_vision.phantom.views import VIEWS, random_pose

VIEW = VIEWS["whole_front"]


@pytest.fixture(scope="module")
def rest():
    return random_patient(5).rest


def bone_places(rest, pose):
    """Where each bone begins in a pose, metres."""
    model = BodyModel.load()
    turned, moved = model.bone_transforms(rest, pose)
    places = np.einsum("bij,bj->bi", turned, rest.bone_heads) + moved
    return dict(zip(model.bone_labels, places, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_limbs_go_where_their_names_say(rest, seed):
    at_rest = bone_places(rest, {})

    def places(turns):
        pose = {}
        _turn(pose, turns(np.random.default_rng(seed)), "L", 1.0)
        return bone_places(rest, pose)

    beside = places(_alongside)["wrist.L"]
    assert beside[0] < at_rest["wrist.L"][0] - 0.05
    belly = places(_on_belly)["wrist.L"]
    # In front of the trunk (-y), at most a hand's width aside of the shoulder.
    assert belly[1] < at_rest["spine03"][1]
    assert belly[0] < at_rest["upperarm01.L"][0] + 0.08
    assert places(_raised)["wrist.L"][2] > at_rest["upperarm01.L"][2] - 0.1
    knee = places(_drawn_up)["lowerleg01.L"]
    assert knee[1] < at_rest["lowerleg01.L"][1] - 0.05
    assert knee[2] > at_rest["lowerleg01.L"][2]


def test_the_right_side_is_the_mirror_image_of_the_left(rest):
    pose = {}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        _turn(pose, _on_belly(np.random.default_rng(3)), side, sign)
    left, right = (bone_places(rest, pose)[f"wrist.{side}"] for side in "LR")
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=0.02)


def test_the_same_chance_gives_the_same_pose_and_another_another():
    asked = random_pose(np.random.default_rng(0), VIEW)
    poses = [bedside_pose(np.random.default_rng(seed), asked) for seed in (1, 1, 2)]
    assert all((poses[0][bone] == poses[1][bone]).all() for bone in poses[0])
    assert any((poses[0][bone] != poses[2][bone]).any() for bone in poses[0])
    moved = [
        any((bedside_pose(np.random.default_rng(seed), asked)[bone] != asked[bone]).any()
            for bone in asked)
        for seed in range(40)
    ]  # fmt: skip
    assert np.mean(moved) > 0.9
