import numpy as np
import pytest
from numpy.typing import NDArray

from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.guide import HOW, LEAST_PERCENT, PhotoToTake, _shown_by_view, photos_to_take
from bsa_vision.chart.regions import REGION_NAMES
from bsa_vision.core.views import VIEW_NAMES

#: Every cell counts the same here.
WEIGHTS = np.full(len(load_cells()), 100 / len(load_cells()))
USUAL = [name for name in VIEW_NAMES if not name.startswith(("hands", "feet", "head_l", "head_r"))]


def asked(unseen: NDArray[np.bool_], taken: list[str] | None = None) -> list[PhotoToTake]:
    return list(photos_to_take(unseen, WEIGHTS, taken or []))


def unseen_by(views: list[str], share: float = 0.5) -> NDArray[np.bool_]:
    """Cells that each of the views shows in less than a share of photos."""
    shows = _shown_by_view()[[VIEW_NAMES.index(view) for view in views]]
    return (shows < share).all(axis=0)


def region(name: str, side: int | None = None) -> NDArray[np.bool_]:
    cells = load_cells()
    chosen = cells.region == REGION_NAMES.index(name)
    return chosen if side is None else chosen & (cells.side == side)


def soles() -> NDArray[np.bool_]:
    return region("foot") & ~load_cells().front


def test_every_view_says_how() -> None:
    assert set(HOW) == set(VIEW_NAMES)


def test_all_seen_asks_for_nothing() -> None:
    assert asked(np.zeros(len(WEIGHTS), bool)) == []


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("missing", ["trunk_{}", "arm_{}_back"])
def test_a_missing_view_is_asked_for_first(missing: str, side: str) -> None:
    view = missing.format(side)
    others = [name for name in USUAL if name != view and not name.startswith("whole")]
    unseen = unseen_by(others, 0.8) & ~unseen_by([view])
    assert asked(unseen, others)[0].view == view


def test_the_soles_take_a_photo_of_the_soles() -> None:
    first = asked(soles())[0]
    assert (first.view, first.how, first.again) == ("feet_plantar", "both soles", False)


def test_one_hand_is_asked_for_close_up_not_as_a_whole_body() -> None:
    assert asked(region("hand", 1))[0].view in {"arm_left_front", "arm_left_back", "hands_dorsal"}


def test_of_an_unseen_body_the_list_shows_nearly_all() -> None:
    found = asked(np.ones(len(WEIGHTS), bool))
    assert {found[0].view, found[1].view} == {"whole_front", "whole_back"}
    gains = [photo.percent for photo in found]
    assert min(gains) >= LEAST_PERCENT
    assert 85 < sum(gains) < 100


def test_what_a_photo_of_the_view_did_not_show_counts_for_half() -> None:
    first = asked(soles(), ["feet_plantar"])[0]
    assert (first.view, first.again) == ("feet_plantar", True)
    assert first.percent == pytest.approx(asked(soles())[0].percent / 2)
