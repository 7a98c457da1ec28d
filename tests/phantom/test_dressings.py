import numpy as np
import pytest

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.phantom.dressings import Dressing, cover, covered, random_wrap
from bsa_vision.phantom.lesion_looks import Paint
from bsa_vision.phantom.noise import Noise
from bsa_vision.phantom.patient import random_patient


@pytest.fixture
def patch() -> Dressing:
    x, y, z = np.eye(3, dtype=np.float32)
    return Dressing(
        material="gauze", centre=np.zeros(3, np.float32), across=x, along=y, outward=z,
        half_m=np.array([0.03, 0.05, 0.02], np.float32), wrap=False, stain=0.0,
        colour=np.full(3, 0.8, np.float32), noise=Noise.from_rng(np.random.default_rng(0)),
    )  # fmt: skip


def test_a_patch_is_a_box_of_its_size(patch):
    points = np.random.default_rng(1).uniform(-0.08, 0.08, (4000, 3)).astype(np.float32)
    hidden, depths = covered((patch,), points)
    np.testing.assert_array_equal(hidden, (np.abs(points) < patch.half_m).all(axis=1))
    nearest = (patch.half_m - np.abs(points)).min(axis=1)
    np.testing.assert_allclose(depths[0], nearest, atol=1e-7)


def test_only_what_is_covered_changes_its_looks(patch):
    points = np.array([[0, 0, 0], [0.2, 0, 0]], np.float32)
    skin = Paint(*(np.full(shape, 0.3, np.float32) for shape in ((2, 3), 2, 2, 2)))
    _, depths = covered((patch,), points)
    paint = cover((patch,), depths, points, skin)
    assert paint.albedo[0].min() > 0.5
    for name, values in vars(skin).items():
        np.testing.assert_array_equal(getattr(paint, name)[1], values[1])
        assert (values == np.float32(0.3)).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_wrap_stays_on_its_limb(seed):
    rest = random_patient(2).rest
    wrap = random_wrap(np.random.default_rng(seed), rest)
    hidden, _ = covered((wrap,), rest.vertices.astype(np.float32))
    model = BodyModel.load()
    strongest = model.skin_weights.argmax(axis=1)
    bone = model.skin_bones[np.arange(len(strongest)), strongest][hidden]
    sides = {model.bone_labels[b].rpartition(".")[2] for b in np.unique(bone).tolist()}
    assert hidden.any()
    assert len(sides) == 1
