import numpy as np
import pytest

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.core.labels import COUNTED, Label
from bsa_vision.phantom.lesions import percent_by_state, random_course, sample_surface
from bsa_vision.phantom.patient import random_patient

#: The order in which a point goes through the states; erythema is free to come and go.
_STAGE = {
    Label.UNAFFECTED: 0,
    Label.ERYTHEMA: 0,
    Label.DETACHABLE: 1,
    Label.DETACHED: 2,
    Label.REEPITHELIALISED: 3,
}


@pytest.fixture(scope="module")
def surface():
    return sample_surface(random_patient(3).rest.vertices)


def test_the_samples_cover_the_skin_without_cavities(surface):
    model = BodyModel.load()
    corners = random_patient(3).rest.vertices[model.faces[model.skin_faces]]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(sides, axis=1).sum() / 2
    assert surface.area.sum(dtype=np.float64) == pytest.approx(area, rel=1e-5)
    assert surface.area.max() <= 0.25e-4 * (1 + 1e-5)
    assert model.skin_faces[surface.face].all()
    np.testing.assert_allclose(surface.barycentric.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("share", [0.03, 0.25, 0.6])
def test_the_share_ever_affected_is_the_one_asked_for(surface, share):
    course = random_course(np.random.default_rng(5), surface, share)
    label = course.state(surface.position, surface.inclination, 200.0).label
    percent = percent_by_state(label, surface.area)
    ever = percent[Label.REEPITHELIALISED] + sum(percent[code] for code in COUNTED)
    # The rank table has 512 steps; a step holds 0.2 % of the skin.
    assert ever == pytest.approx(100 * share, abs=0.2)
    # What never heals stays detached for good. 0.2 % of the skin is 7 % of the smallest share.
    assert percent[Label.DETACHED] / ever == pytest.approx(course.never_share, abs=0.02)
    assert percent[Label.ERYTHEMA] == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_point_never_goes_back(surface, seed):
    course = random_course(np.random.default_rng(seed), surface, 0.4)
    stage = np.zeros(8)
    for code, value in _STAGE.items():
        stage[code] = value
    before = np.zeros(len(surface.area))
    for day in np.arange(-6, 25, 1.5):
        state = course.state(surface.position, surface.inclination, float(day))
        now = stage[state.label]
        assert np.all(now >= before)
        assert np.all((state.erythema >= 0) & (state.erythema <= 1))
        before = now


def test_percentages_sum_to_a_hundred(surface):
    course = random_course(np.random.default_rng(9), surface, 0.3)
    label = course.state(surface.position, surface.inclination, 5.0).label
    assert sum(percent_by_state(label, surface.area).values()) == pytest.approx(100)


def test_a_pixel_and_a_sample_get_the_same_answer(surface):
    course = random_course(np.random.default_rng(9), surface, 0.3)
    whole = course.state(surface.position, surface.inclination, 5.0).label
    part = course.state(surface.position[::50], surface.inclination[::50], 5.0).label
    # Rounding may move a point that lies on a border of states to the other side.
    assert np.mean(part != whole[::50]) < 0.002


def test_no_share_no_lesion(surface):
    for seed in range(6):
        course = random_course(np.random.default_rng(seed), surface, 0.0)
        for day in (0.0, 6.0):
            label = course.state(surface.position, surface.inclination, day).label
            assert set(np.unique(label)) <= {Label.UNAFFECTED, Label.ERYTHEMA}
