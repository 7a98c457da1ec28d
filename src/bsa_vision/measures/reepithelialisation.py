"""Maximum of counted BSA, re-epithelialisation rate, responder at D7, new detachment.

R(t) = 100 x re-epithelialised BSA(t) / max over single visits of (detached + detachable BSA).
The maximum is provisional until the last planned visit is in, or the patient has died; then it is
locked, and later visits do not change it. Intervals come from joint draws: in each draw the same
sampled areas give the numerator and the maximum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bsa_vision.measures.area import Filled
from bsa_vision.measures.records import (
    COUNTED_COLUMNS,
    ERYTHEMA_COLUMN,
    REEPITHELIALISED_COLUMN,
    UNAFFECTED_COLUMN,
    ChartFacts,
    Estimate,
    Floats,
)
from bsa_vision.measures.settings import EndpointSettings
from bsa_vision.measures.severity import NOTHING_COUNTED, too_little_counted

_UNDETACHED_COLUMNS = (UNAFFECTED_COLUMN, ERYTHEMA_COLUMN)


@dataclass(frozen=True)
class VisitTotals:
    """Whole-body areas of one visit that could be measured.

    Attributes
    ----------
    day : days from D0.
    percent : (5,) best estimates, percent of BSA.
    draws : (S, 5) sampled areas.
    mostly_filled : most of the skin was not assessed, and was filled from what was.
    """

    day: int
    percent: Floats
    draws: Floats
    mostly_filled: bool = False

    @property
    def counted(self) -> float:
        """Detached + detachable, percent of BSA."""
        return float(self.percent[list(COUNTED_COLUMNS)].sum())

    @property
    def counted_draws(self) -> Floats:
        """(S,) detached + detachable."""
        total: Floats = self.draws[:, COUNTED_COLUMNS].sum(axis=1)
        return total


@dataclass(frozen=True)
class Maximum:
    """Largest counted BSA of a single visit.

    Attributes
    ----------
    estimate : with its interval. day : visit of the maximum, or None.
    status : ``"locked"`` once the last planned visit is in or the patient has died, else
        ``"provisional"``.
    visits : those it is the maximum of; draws : (S,) the maximum in each draw, None without visits.
    flags : ``"mostly_filled"``.
    """

    estimate: Estimate
    day: int | None
    status: str
    visits: tuple[VisitTotals, ...] = field(default=(), compare=False, repr=False)
    draws: Floats | None = field(default=None, compare=False, repr=False)
    flags: tuple[str, ...] = ()

    def up_to(self, day: int) -> float | None:
        """Largest counted BSA of the visits up to `day`; None before the first."""
        return max((visit.counted for visit in self.visits if visit.day <= day), default=None)


@dataclass(frozen=True)
class Rate:
    """Re-epithelialisation rate of a visit.

    Attributes
    ----------
    estimate : percent of the maximum, capped at 100, against the maximum of all visits so far in.
    uncapped : before capping, or None.
    at_visit : the rate as it stood on that day, against the maximum up to then.
    status : that of the maximum.
    flags : ``"capped"``, ``"provisional"``, ``"mostly_filled"`` (the visit or that of the maximum).
    at_visit_reason : why there is no `at_visit`, or None.
    """

    estimate: Estimate
    uncapped: float | None
    at_visit: float | None
    status: str
    flags: tuple[str, ...] = ()
    at_visit_reason: str | None = None


@dataclass(frozen=True)
class ResponderCall:
    """Whether a cut-off of the rate was reached.

    Attributes
    ----------
    cut_off : percent of the maximum.
    responder : None when it cannot be said, with a `reason`.
    straddles : the interval of the rate holds the cut-off.
    """

    cut_off: float
    responder: bool | None
    straddles: bool
    reason: str | None = None


@dataclass(frozen=True)
class NewDetachment:
    """Skin unaffected or red at D0 and detached or detachable later, percent of BSA.

    Attributes
    ----------
    percent : at this visit, or None with a `reason`.
    cumulative_percent : at this or any earlier visit after D0.
    comparable_percent : skin assessed both at D0 and at this visit: the share looked at.
    """

    percent: float | None
    cumulative_percent: float | None
    comparable_percent: float | None
    reason: str | None = None


def find_maximum(
    totals: Sequence[VisitTotals],
    settings: EndpointSettings,
    quantiles: tuple[float, float],
    death_day: int | None = None,
) -> Maximum:
    """The maximum of counted BSA over single visits, and whether it is final."""
    if not totals:
        reason = "no visit could be measured"
        return Maximum(Estimate.missing(reason), None, "provisional")
    last = min((v.day for v in totals if v.day >= settings.last_planned_day), default=None)
    visits = tuple(visit for visit in totals if last is None or visit.day <= last)
    best = max(visits, key=lambda visit: (visit.counted, -visit.day))
    draws: Floats = np.max([visit.counted_draws for visit in visits], axis=0)
    return Maximum(
        _with_interval(best.counted, draws, quantiles),
        best.day,
        "provisional" if last is None and death_day is None else "locked",
        visits,
        draws,
        ("mostly_filled",) if best.mostly_filled else (),
    )


def _with_interval(value: float, draws: Floats, quantiles: tuple[float, float]) -> Estimate:
    low, high = np.quantile(draws, quantiles)
    return Estimate(value, min(float(low), value), max(float(high), value))


def measure_rate(
    day: int,
    totals: Sequence[VisitTotals],
    maximum: Maximum,
    settings: EndpointSettings,
    quantiles: tuple[float, float],
) -> Rate:
    """Re-epithelialisation rate of the visit on `day`."""
    least = settings.least_counted_percent
    visit = next((visit for visit in totals if visit.day == day), None)
    if visit is None:
        return _missing_rate(f"no visit on day {day} could be measured", maximum.status)
    largest = maximum.estimate.percent
    if maximum.draws is None or not largest or largest < least:
        reason = too_little_counted(largest, least) if largest else NOTHING_COUNTED
        return _missing_rate(reason, maximum.status)
    healed = float(visit.percent[REEPITHELIALISED_COLUMN])
    uncapped = 100 * healed / largest
    healed_draws = visit.draws[:, REEPITHELIALISED_COLUMN]
    # Where a draw has no counted skin at all, anything healed is complete healing.
    draws = np.where(healed_draws > 0, 100.0, 0.0)
    np.divide(100 * healed_draws, maximum.draws, out=draws, where=maximum.draws > 0)
    so_far = maximum.up_to(day)
    divisible = so_far is not None and so_far >= least
    flags = ["capped"] if uncapped > 100 else []
    if maximum.status == "provisional":
        flags.append("provisional")
    if visit.mostly_filled or maximum.flags:
        flags.append("mostly_filled")
    return Rate(
        estimate=_with_interval(min(uncapped, 100.0), np.minimum(draws, 100.0), quantiles),
        uncapped=uncapped,
        at_visit=min(100 * healed / so_far, 100.0) if so_far and divisible else None,
        status=maximum.status,
        flags=tuple(flags),
        at_visit_reason=None
        if divisible
        else f"{too_little_counted(so_far, least) if so_far else NOTHING_COUNTED} up to day {day}",
    )


def _missing_rate(reason: str, status: str) -> Rate:
    return Rate(Estimate.missing(reason), None, None, status, at_visit_reason=reason)


def call_responder(
    rate: Rate, settings: EndpointSettings, death_day: int | None
) -> tuple[ResponderCall, ...]:
    """Responder at the cut-off of the setting, then at those reported beside it."""
    cut_offs = (settings.responder_cut_off, *settings.responder_beside)
    if death_day is not None and death_day < settings.responder_day:
        reason = f"died on day {death_day}, before day {settings.responder_day}"
        return tuple(ResponderCall(cut_off, False, False, reason) for cut_off in cut_offs)
    estimate = rate.estimate
    if estimate.percent is None or estimate.low is None or estimate.high is None:
        return tuple(ResponderCall(cut, None, False, estimate.reason) for cut in cut_offs)
    return tuple(
        ResponderCall(cut, estimate.percent >= cut, estimate.low < cut <= estimate.high)
        for cut in cut_offs
    )


def find_new_detachment(
    filled: Mapping[int, Filled], chart: ChartFacts
) -> dict[int, NewDetachment]:
    """Compare each visit's cells with those of D0, where both were assessed.

    Parameters
    ----------
    filled : cells by day of the visits that could be measured.

    Returns
    -------
    One entry per day after D0. States are each cell's most probable one, so that low
    probabilities spread over much skin do not add up to detachment.
    """
    later = [day for day in sorted(filled) if day > 0]
    baseline = filled.get(0)
    if baseline is None:
        reason = "no visit on day 0 could be measured"
        return {day: NewDetachment(None, None, None, reason) for day in later}
    intact = baseline.assessed & np.isin(baseline.shares.argmax(axis=1), _UNDETACHED_COLUMNS)
    so_far: NDArray[np.bool_] = np.zeros(chart.n_cells, dtype=bool)
    found = {}
    for day in later:
        visit = filled[day]
        comparable = float(chart.weights[baseline.assessed & visit.assessed].sum())
        counted = visit.assessed & np.isin(visit.shares.argmax(axis=1), COUNTED_COLUMNS)
        so_far = so_far | (intact & counted)
        if not comparable:
            reason = f"no skin was assessed both on day 0 and on day {day}"
            found[day] = NewDetachment(None, None, None, reason)
            continue
        found[day] = NewDetachment(
            percent=float(chart.weights[intact & counted].sum()),
            cumulative_percent=float(chart.weights[so_far].sum()),
            comparable_percent=comparable,
        )
    return found
