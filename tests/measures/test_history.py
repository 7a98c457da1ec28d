import numpy as np
import pytest

from bsa_vision.measures.history import decided_cells, with_history
from bsa_vision.measures.records import STATE_NAMES, VisitEvidence
from bsa_vision.measures.series import measure_series
from bsa_vision.measures.settings import HistorySettings, IntervalSettings, MeasureSettings

SETTINGS = MeasureSettings(intervals=IntervalSettings(draws=50))
HISTORY = HistorySettings()
UNAFFECTED, ERYTHEMA, DETACHABLE, DETACHED, HEALED = range(5)


@pytest.fixture
def visit_of(tube, observe):
    """A visit from the states of all cells, or from their shares, drawn by a network."""

    def make(day, states, model_share=1.0, assessed=True, hidden=False):
        n = tube.chart.n_cells
        seen, under = np.full(n, assessed), np.full(n, hidden)
        evidence = observe(np.broadcast_to(states, n), seen, under, model_share=model_share)
        return VisitEvidence(day, evidence)

    return make


def with_shares(visit, **shares):
    """The visit with the same shares, by name, in every cell."""
    rows = np.zeros_like(visit.evidence.probabilities)
    for name, share in shares.items():
        rows[:, STATE_NAMES.index(name)] = share
    visit.evidence.probabilities[:] = rows
    return visit


def found_states(visit):
    return visit.evidence.probabilities.argmax(axis=1)


@pytest.mark.parametrize(
    ("lost", "looks"), [(DETACHABLE, UNAFFECTED), (DETACHED, UNAFFECTED), (DETACHED, ERYTHEMA)]
)
def test_what_was_lost_and_looks_whole_is_healed(visit_of, tube, lost, looks):
    half = np.arange(tube.chart.n_cells) % 2 * lost
    _, later = with_history([visit_of(0, half), visit_of(10, looks)], HISTORY)
    np.testing.assert_array_equal(found_states(later), np.where(half, HEALED, looks))
    np.testing.assert_array_equal(later.inferred, half > 0)
    np.testing.assert_array_equal(later.history.lost, half > 0)


def test_visits_decide_about_later_ones_alone(visit_of):
    """Skin that has not been lost yet is unaffected, whatever becomes of it."""
    visits = [visit_of(5, DETACHED), visit_of(0, UNAFFECTED)]
    given = [visit.evidence.probabilities.copy() for visit in visits]
    first, second = with_history(visits, HISTORY)
    assert (first.day, second.day) == (0, 5)
    assert (found_states(first) == UNAFFECTED).all()
    assert (found_states(second) == DETACHED).all()
    for visit, before in zip(visits, given, strict=True):
        np.testing.assert_array_equal(visit.evidence.probabilities, before)


@pytest.mark.parametrize(
    ("before", "later"),
    [*((DETACHED, later) for later in (DETACHABLE, DETACHED, HEALED)), (DETACHABLE, ERYTHEMA)],
)
def test_what_a_photo_shows_stays(visit_of, before, later):
    """Redness that was taken for detachable skin may be redness still."""
    _, found = with_history([visit_of(0, before), visit_of(10, later)], HISTORY)
    assert (found_states(found) == later).all()
    assert not found.inferred.any()


@pytest.mark.parametrize(
    ("before", "now"), [(DETACHED, UNAFFECTED), (DETACHED, ERYTHEMA), (UNAFFECTED, HEALED)]
)
def test_what_a_person_drew_stays(visit_of, before, now):
    visits = [visit_of(0, before), visit_of(5, now, model_share=0.0)]
    assert (found_states(with_history(visits, HISTORY)[1]) == now).all()


def test_of_photos_of_one_visit_only_the_networks_are_decided(visit_of, tube):
    """A cell drawn by a person, one by the network, one by both in equal parts, and so on."""
    share = np.arange(tube.chart.n_cells) % 3 / 2
    visits = [visit_of(0, DETACHED), visit_of(5, UNAFFECTED, model_share=share)]
    later = with_history(visits, HISTORY)[1]
    np.testing.assert_allclose(later.inferred, share)
    np.testing.assert_allclose(later.evidence.probabilities[:, HEALED], share)
    decided = decided_cells(later)
    np.testing.assert_array_equal(decided.faded, share > 0.5)
    assert not decided.never.any()


@pytest.mark.parametrize("before", [UNAFFECTED, ERYTHEMA])
def test_what_was_seen_and_never_lost_is_not_healed(visit_of, before):
    _, later = with_history([visit_of(0, before), visit_of(5, HEALED)], HISTORY)
    assert (found_states(later) == UNAFFECTED).all()
    assert (later.inferred == -1).all()
    decided = decided_cells(later)
    assert decided.never.all()
    assert not decided.faded.any()
    assert not decided.red.any()


def test_what_was_healed_when_it_was_first_seen_stays(visit_of):
    visits = [visit_of(0, HEALED), visit_of(5, UNAFFECTED), visit_of(7, HEALED)]
    found = with_history(visits, HISTORY)
    assert [found_states(visit)[0] for visit in found] == [HEALED, UNAFFECTED, HEALED]


def test_skin_can_be_lost_and_covered_under_a_dressing(visit_of):
    visits = [visit_of(5, UNAFFECTED), visit_of(7, 0, assessed=False, hidden=True)]
    assert (found_states(with_history([*visits, visit_of(10, HEALED)], HISTORY)[2]) == HEALED).all()


def test_what_was_ruled_out_stays_ruled_out(visit_of):
    """Skin that looks healed on one visit looks so on the next."""
    visits = [visit_of(0, UNAFFECTED), *(visit_of(day, HEALED) for day in (5, 7, 10))]
    for found in with_history(visits, HISTORY):
        assert (found_states(found) == UNAFFECTED).all()


def test_skin_that_a_person_drew_lost_is_healed_after_it_faded(visit_of):
    drawn = [visit_of(0, DETACHED, model_share=0.0), visit_of(5, UNAFFECTED, model_share=0.0)]
    assert (found_states(with_history([*drawn, visit_of(10, HEALED)], HISTORY)[2]) == HEALED).all()


def test_skin_can_be_lost_and_covered_between_visits_far_apart(visit_of):
    _, later = with_history([visit_of(0, UNAFFECTED), visit_of(6, HEALED)], HISTORY)
    assert (found_states(later) == HEALED).all()


def test_skin_that_nobody_saw_before_may_be_healed(visit_of):
    visits = [visit_of(0, UNAFFECTED), visit_of(5, 0, assessed=False), visit_of(10, HEALED)]
    assert (found_states(with_history(visits, HISTORY)[2]) == HEALED).all()


def test_what_was_lost_once_may_be_healed_after_it_was_seen_unaffected(visit_of):
    visits = [visit_of(0, DETACHED), visit_of(7, UNAFFECTED), visit_of(10, HEALED)]
    assert (found_states(with_history(visits, HISTORY)[2]) == HEALED).all()


def test_skin_that_nobody_saw_is_not_assessed_still(visit_of):
    visits = [visit_of(0, DETACHED), visit_of(10, UNAFFECTED, assessed=False)]
    later = with_history(visits, HISTORY)[1]
    assert not later.evidence.probabilities.any()
    assert not later.evidence.weight.any()


def test_a_visit_without_evidence_is_skipped(visit_of):
    visits = [visit_of(0, DETACHED), visit_of(5, 0, assessed=False), visit_of(10, UNAFFECTED)]
    assert (found_states(with_history(visits, HISTORY)[2]) == HEALED).all()


def test_a_cell_is_never_less_affected_than_it_was_counted(visit_of):
    """Of seven tenths lost, two still show: five are inferred, three never were affected."""
    first = with_shares(visit_of(0, 0), detached=0.7, unaffected=0.3)
    second = with_shares(visit_of(10, 0), reepithelialised=0.2, unaffected=0.8)
    later = with_history([first, second], HISTORY)[1]
    np.testing.assert_allclose(later.inferred, 0.5, atol=1e-6)
    np.testing.assert_allclose(later.evidence.probabilities[:, HEALED], 0.7, atol=1e-6)
    np.testing.assert_allclose(later.evidence.probabilities[:, UNAFFECTED], 0.3, atol=1e-6)
    assert decided_cells(later).faded.all()


def test_what_is_missing_is_taken_from_unaffected_and_red_skin_alike(visit_of):
    """Of six tenths lost, two show and four are taken from eight: half of each."""
    first = with_shares(visit_of(0, 0), detached=0.6, unaffected=0.4)
    second = with_shares(visit_of(10, 0), reepithelialised=0.2, erythema=0.6, unaffected=0.2)
    later = with_history([first, second], HISTORY)[1]
    np.testing.assert_allclose(later.inferred, 0.4, atol=1e-6)
    shares = later.evidence.probabilities
    np.testing.assert_allclose(shares, np.tile([0.1, 0.3, 0, 0, 0.6], (len(shares), 1)), atol=1e-6)
    decided = decided_cells(later)
    assert decided.faded.all()
    assert decided.red.all()
    assert not decided.never.any()


def test_the_rim_of_a_wound_that_stays_is_not_decided(visit_of):
    """Six tenths lost and still open: the rest of the cell never was."""
    visits = [with_shares(visit_of(day, 0), detached=0.6, unaffected=0.4) for day in (0, 5)]
    later = with_history(visits, HISTORY)[1]
    assert not later.inferred.any()
    assert decided_cells(later) is None


def test_doubts_are_not_remembered(visit_of):
    first = with_shares(visit_of(0, 0), detachable=0.4, unaffected=0.6)
    later = with_history([first, visit_of(10, UNAFFECTED)], HISTORY)[1]
    assert not later.inferred.any()


def test_replicates_remember_too_and_nothing_given_is_changed(visit_of, tube, observe):
    n = tube.chart.n_cells
    unaffected = np.zeros(n, int)
    replicates = np.broadcast_to(np.eye(5, dtype=np.float32)[0], (3, n, 5)).copy()
    evidence = observe(unaffected, np.ones(n, bool), replicates=replicates)
    given = VisitEvidence(10, evidence)
    later = with_history([visit_of(0, DETACHED), given], HISTORY)[1]
    assert (later.evidence.replicates.argmax(axis=2) == HEALED).all()
    assert (given.evidence.replicates.argmax(axis=2) == UNAFFECTED).all()
    assert (found_states(given) == UNAFFECTED).all()


def test_the_rate_of_faded_skin_is_complete(visit_of, tube):
    lost = np.arange(tube.chart.n_cells) % 4 == 0
    visits = [visit_of(0, lost * DETACHED), visit_of(15, UNAFFECTED)]
    series = measure_series(with_history(visits, HISTORY), tube.chart, SETTINGS)
    assert series.rates[15].estimate.percent == pytest.approx(100)
    assert [one.inferred_percent for one in series.visits] == pytest.approx([0, 25])
    assert [one.ruled_out_percent for one in series.visits] == [0, 0]
    forgetful = measure_series(visits, tube.chart, SETTINGS)
    assert forgetful.rates[15].estimate.percent == pytest.approx(0)


def test_the_rate_of_skin_that_only_looks_new_is_nothing(visit_of, tube):
    lost = np.arange(tube.chart.n_cells) % 4 == 0
    visits = [visit_of(0, lost * DETACHED), visit_of(5, np.where(lost, DETACHED, HEALED))]
    series = measure_series(with_history(visits, HISTORY), tube.chart, SETTINGS)
    assert series.rates[5].estimate.percent == pytest.approx(0)
    assert series.visits[1].ruled_out_percent == pytest.approx(75)
    assert series.visits[1].seen_percent["unaffected"] == pytest.approx(75)


def test_skin_that_was_lost_is_surely_not_unaffected(visit_of, tube):
    """Doubts between unaffected and healed skin do not touch it; without its history they do."""
    lost = np.arange(tube.chart.n_cells) % 4 == 0
    seen = np.where(lost, HEALED, UNAFFECTED)
    visits = [visit_of(0, lost * DETACHED), visit_of(5, seen), visit_of(10, seen)]
    remembered, alone = (
        measure_series(found, tube.chart, SETTINGS).visits[1].estimates["reepithelialised"]
        for found in (with_history(visits, HISTORY), visits)
    )
    assert remembered.percent == pytest.approx(alone.percent)
    assert remembered.high - remembered.low < 0.5 * (alone.high - alone.low)


def test_no_visits_have_no_history():
    assert with_history([], HISTORY) == []


def test_skin_that_nobody_saw_before_may_still_be_healed(visit_of, tube):
    """Half of it was never seen: unlike the rest it may be healed, though it looks unaffected."""
    n = tube.chart.n_cells
    lost = np.arange(n) % 4 == 0
    first, second = visit_of(0, lost * DETACHED), visit_of(5, np.where(lost, HEALED, UNAFFECTED))
    first.evidence.weight[n // 2 :] = 0
    first.evidence.probabilities[n // 2 :] = 0
    seen = visit_of(0, lost * DETACHED)
    half, whole = (
        measure_series(with_history([start, second], HISTORY), tube.chart, SETTINGS)
        .visits[1]
        .estimates["reepithelialised"]
        for start in (first, seen)
    )
    assert half.high - half.percent > 2 * (whole.high - whole.percent)
