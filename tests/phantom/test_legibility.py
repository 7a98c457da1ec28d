from dataclasses import replace

import numpy as np
import pytest

from bsa_vision.phantom.legibility import legible_lesion_look, margin
from bsa_vision.phantom.lesion_looks import random_lesion_look
from bsa_vision.phantom.scene import Case, make_case
from bsa_vision.phantom.skin import with_monk_tone


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(5, None, 0.3)


@pytest.mark.parametrize("tone", [1, 5, 10])
def test_lesions_can_be_told_on_skin_of_any_tone(case: Case, tone: int) -> None:
    skin = with_monk_tone(case.skin, tone)
    margins = []
    for seed in range(6):
        look = legible_lesion_look(np.random.default_rng(seed), case.surface, case.course, skin)
        margins.append(margin(look, case.surface, case.course, skin))
    assert min(margins) >= 1


def test_looks_that_cannot_be_told_are_drawn(case: Case) -> None:
    """Or the draws would be a loop for nothing."""
    skin = with_monk_tone(case.skin, 10)
    margins = [
        margin(random_lesion_look(np.random.default_rng(s)), case.surface, case.course, skin)
        for s in range(12)
    ]
    assert min(margins) < 1 <= max(margins)


def test_a_legible_first_draw_is_taken_as_it_is(case: Case) -> None:
    for seed in range(12):
        first = random_lesion_look(np.random.default_rng(seed))
        if margin(first, case.surface, case.course, case.skin) >= 1:
            taken = legible_lesion_look(
                np.random.default_rng(seed), case.surface, case.course, case.skin
            )
            assert taken.new_amount == first.new_amount
            return
    pytest.fail("none of the first draws was legible")


def test_what_looks_the_same_has_no_margin(case: Case) -> None:
    look = random_lesion_look(np.random.default_rng(0))
    invisible = replace(look, new_amount=0.1, redness=0.0, pigment=0.0)
    shown = replace(look, new_amount=0.95, redness=1.6)
    assert margin(invisible, case.surface, case.course, case.skin) < margin(
        shown, case.surface, case.course, case.skin
    )
