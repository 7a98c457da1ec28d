"""All measures of one patient's series, in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bsa_vision.measures.area import Filled, VisitArea, fill_unassessed, measure_area
from bsa_vision.measures.intervals import (
    SeriesDraws,
    draw_series,
    estimate_from_draws,
    sample_visit,
)
from bsa_vision.measures.records import (
    COUNTED_COLUMNS,
    STATE_NAMES,
    ChartFacts,
    Estimate,
    Floats,
    RegionSide,
    VisitEvidence,
)
from bsa_vision.measures.reepithelialisation import (
    Maximum,
    NewDetachment,
    Rate,
    ResponderCall,
    VisitTotals,
    call_responder,
    find_maximum,
    find_new_detachment,
    measure_rate,
)
from bsa_vision.measures.settings import EndpointSettings, IntervalSettings, MeasureSettings
from bsa_vision.measures.severity import SeverityCall, classify_severity

NOTHING_ASSESSED = "no skin was assessed on this visit"
#: When more than this share of the skin had to be filled, the estimate leans on the fill.
_MOSTLY_FILLED_PERCENT = 50.0


@dataclass(frozen=True)
class RegionMeasures:
    """One chart row of one visit; all in percent of BSA.

    Attributes
    ----------
    where : region and side. bsa_percent : the row's share of BSA.
    estimates : by name, the five states and ``"counted_bsa"``.
    never_seen_percent, hidden_percent : not assessed, and why.
    """

    where: RegionSide
    bsa_percent: float
    estimates: Mapping[str, Estimate]
    never_seen_percent: float
    hidden_percent: float

    @property
    def not_assessed_percent(self) -> float:
        """Never seen or hidden, percent of BSA."""
        return self.never_seen_percent + self.hidden_percent


@dataclass(frozen=True)
class VisitMeasures:
    """One visit; all in percent of BSA.

    Attributes
    ----------
    day : days from D0.
    estimates : by name, the five states and ``"counted_bsa"``.
    seen_percent : by state, share of BSA seen in it, before filling.
    inferred_percent, ruled_out_percent : skin seen that is re-epithelialised though it looks
        unaffected, as it was lost on an earlier visit; and the other way round, as it never was
        (`measures.history`).
    bounds : (low, high) of counted BSA if the skin not assessed were all healthy, all counted.
    never_seen_percent, hidden_percent : not assessed, and why.
    filled_percent : how much of BSA was filled from neighbours for the estimates.
    regions : by chart row.
    running_maximum : largest counted BSA of the visits up to this one, or None.
    severity, rate, new_detachment : see their records.
    flags : ``"nothing_assessed"``, ``"sparsely_seen"`` (too little for percentages of the whole
        body, see `EndpointSettings.least_seen_percent`), ``"mostly_filled"``.
    """

    day: int
    estimates: Mapping[str, Estimate]
    seen_percent: Mapping[str, float]
    inferred_percent: float
    ruled_out_percent: float
    bounds: tuple[float, float]
    never_seen_percent: float
    hidden_percent: float
    filled_percent: float
    regions: tuple[RegionMeasures, ...]
    running_maximum: float | None
    severity: SeverityCall
    rate: Rate
    new_detachment: NewDetachment | None
    flags: tuple[str, ...] = ()

    @property
    def not_assessed_percent(self) -> float:
        """Never seen or hidden, percent of BSA."""
        return self.never_seen_percent + self.hidden_percent


@dataclass(frozen=True)
class SeriesMeasures:
    """All visits of a patient and the endpoints."""

    visits: tuple[VisitMeasures, ...]
    maximum: Maximum
    severity: SeverityCall
    rates: Mapping[int, Rate]
    responder: tuple[ResponderCall, ...]
    death_day: int | None
    settings: MeasureSettings


@dataclass(frozen=True)
class _Sampled:
    """A visit on the way: its areas, and its cells and draws when anything was assessed."""

    day: int
    area: VisitArea | None
    filled: Filled | None
    draws: Floats | None
    hidden_rows: Floats
    inferred_percent: float = 0.0
    ruled_out_percent: float = 0.0

    @property
    def not_assessed_percent(self) -> float:
        """Skin not assessed, percent of BSA."""
        return 100.0 if self.area is None else float(self.area.not_assessed.sum())

    def is_sparse(self, settings: EndpointSettings) -> bool:
        """Whether too little was assessed for percentages of the whole body."""
        return self.not_assessed_percent > 100 - settings.least_seen_percent


def measure_series(
    visits: Sequence[VisitEvidence],
    chart: ChartFacts,
    settings: MeasureSettings,
    death_day: int | None = None,
) -> SeriesMeasures:
    """Measure every visit of a series and its endpoints.

    Parameters
    ----------
    visits : in any order, one per day.
    chart : the patient's chart.
    settings : intervals, endpoints, severity rule.
    death_day : days from D0, when the patient died.

    Raises
    ------
    ValueError
        Two visits have the same day, or a visit has another number of cells than the chart.
    """
    ordered = sorted(visits, key=lambda visit: visit.day)
    _check(ordered, chart)
    series = draw_series(len(chart.rows), settings.intervals)
    sampled = [_sample(visit, chart, series, settings.intervals) for visit in ordered]
    totals = [
        VisitTotals(
            one.day,
            one.area.estimate.sum(axis=0),
            one.draws.sum(axis=1),
            one.not_assessed_percent > _MOSTLY_FILLED_PERCENT,
        )
        for one in sampled
        if one.area is not None and one.draws is not None and not one.is_sparse(settings.endpoints)
    ]
    quantiles = settings.intervals.quantiles
    endpoints = settings.endpoints
    maximum = find_maximum(totals, endpoints, quantiles, death_day)
    cells = {one.day: one.filled for one in sampled if one.filled is not None}
    new = find_new_detachment(cells, chart)
    rate_days = {*endpoints.rate_days, endpoints.responder_day, *(one.day for one in sampled)}
    rates = {
        day: measure_rate(day, totals, maximum, endpoints, quantiles) for day in sorted(rate_days)
    }
    return SeriesMeasures(
        visits=tuple(
            replace(
                _measure_visit(one, chart, settings, rates[one.day], new.get(one.day)),
                running_maximum=maximum.up_to(one.day),
            )
            for one in sampled
        ),
        maximum=maximum,
        severity=_severity(maximum.estimate, endpoints),
        rates={day: rates[day] for day in endpoints.rate_days},
        responder=call_responder(rates[endpoints.responder_day], endpoints, death_day),
        death_day=death_day,
        settings=settings,
    )


def _check(visits: Sequence[VisitEvidence], chart: ChartFacts) -> None:
    days = [visit.day for visit in visits]
    if len(set(days)) != len(days):
        msg = f"measure_series: need one visit per day, got days {days}"
        raise ValueError(msg)
    for visit in visits:
        if visit.evidence.weight.shape != (chart.n_cells,):
            msg = (
                f"measure_series: need {chart.n_cells} cells, got {visit.evidence.weight.shape} "
                f"on day {visit.day}"
            )
            raise ValueError(msg)


def _sample(
    visit: VisitEvidence, chart: ChartFacts, series: SeriesDraws, settings: IntervalSettings
) -> _Sampled:
    hidden_rows = chart.row_sums(chart.weights * np.asarray(visit.evidence.hidden))
    filled = fill_unassessed(visit.evidence, chart, settings.fill_length_cm)
    if filled is None:
        return _Sampled(visit.day, None, None, None, hidden_rows)
    area = measure_area(visit.evidence, filled, chart)
    draws = sample_visit(visit, filled, area, chart=chart, series=series, settings=settings)
    moved = np.zeros(0) if visit.inferred is None else chart.weights * visit.inferred
    inferred, ruled_out = float(moved[moved > 0].sum()), float(-moved[moved < 0].sum())
    return _Sampled(visit.day, area, filled, draws, area.hidden, inferred, ruled_out)


def _severity(counted: Estimate, settings: EndpointSettings) -> SeverityCall:
    return classify_severity(counted, settings.severity_rule, settings.least_counted_percent)


def _measure_visit(
    one: _Sampled,
    chart: ChartFacts,
    settings: MeasureSettings,
    rate: Rate,
    new_detachment: NewDetachment | None,
) -> VisitMeasures:
    rows = chart.row_sums(chart.weights)
    if one.area is None or one.draws is None:
        return _measure_empty_visit(one, chart, rows, settings.endpoints, rate)
    area, draws = one.area, one.draws
    least = settings.endpoints.least_seen_percent
    sparse = one.is_sparse(settings.endpoints)
    unseen_rows = area.not_assessed > rows * (1 - least / 100)
    estimates = (
        _missing_estimates(_too_little_seen(100 - one.not_assessed_percent, "the skin", least))
        if sparse
        else _estimates(area.estimate.sum(axis=0), draws.sum(axis=1), settings.intervals)
    )
    regions = tuple(
        RegionMeasures(
            where=where,
            bsa_percent=float(rows[k]),
            estimates=_missing_estimates(
                _too_little_seen(100 * (1 - area.not_assessed[k] / rows[k]), "the region", least)
            )
            if sparse and unseen_rows[k]
            else _estimates(area.estimate[k], draws[:, k], settings.intervals),
            never_seen_percent=float(area.never_seen[k]),
            hidden_percent=float(area.hidden[k]),
        )
        for k, where in enumerate(chart.rows)
    )
    flags = ("sparsely_seen",) if sparse else ()
    if not sparse and one.not_assessed_percent > _MOSTLY_FILLED_PERCENT:
        flags = ("mostly_filled",)
    return VisitMeasures(
        day=one.day,
        estimates=estimates,
        seen_percent=dict(zip(STATE_NAMES, area.seen.sum(axis=0).tolist(), strict=True)),
        inferred_percent=one.inferred_percent,
        ruled_out_percent=one.ruled_out_percent,
        bounds=area.counted_bounds,
        never_seen_percent=float(area.never_seen.sum()),
        hidden_percent=float(area.hidden.sum()),
        filled_percent=float(area.not_assessed[~(unseen_rows & sparse)].sum()),
        regions=regions,
        running_maximum=None,
        severity=_severity(estimates["counted_bsa"], settings.endpoints),
        rate=rate,
        new_detachment=new_detachment,
        flags=flags,
    )


def _too_little_seen(seen: float, of_what: str, least: float) -> str:
    return (
        f"{seen:.1f} % of {of_what} was assessed, needed {least:g} %: photograph the missing views"
    )


def _missing_estimates(reason: str) -> dict[str, Estimate]:
    return dict.fromkeys((*STATE_NAMES, "counted_bsa"), Estimate.missing(reason))


def _estimates(percent: Floats, draws: Floats, settings: IntervalSettings) -> dict[str, Estimate]:
    """Estimates by name from (5,) percentages and (S, 5) draws."""
    estimates = {
        name: estimate_from_draws(float(percent[k]), draws[:, k], settings)
        for k, name in enumerate(STATE_NAMES)
    }
    counted = list(COUNTED_COLUMNS)
    estimates["counted_bsa"] = estimate_from_draws(
        float(percent[counted].sum()), draws[:, counted].sum(axis=1), settings
    )
    return estimates


def _measure_empty_visit(
    one: _Sampled, chart: ChartFacts, rows: Floats, endpoints: EndpointSettings, rate: Rate
) -> VisitMeasures:
    estimates = _missing_estimates(NOTHING_ASSESSED)
    regions = tuple(
        RegionMeasures(
            where=where,
            bsa_percent=float(rows[k]),
            estimates=estimates,
            never_seen_percent=float(rows[k] - one.hidden_rows[k]),
            hidden_percent=float(one.hidden_rows[k]),
        )
        for k, where in enumerate(chart.rows)
    )
    hidden = float(one.hidden_rows.sum())
    return VisitMeasures(
        day=one.day,
        estimates=estimates,
        seen_percent=dict.fromkeys(STATE_NAMES, 0.0),
        inferred_percent=0.0,
        ruled_out_percent=0.0,
        bounds=(0.0, 100.0),
        never_seen_percent=100.0 - hidden,
        hidden_percent=hidden,
        filled_percent=0.0,
        regions=regions,
        running_maximum=None,
        severity=_severity(estimates["counted_bsa"], endpoints),
        rate=rate,
        new_detachment=NewDetachment(None, None, None, NOTHING_ASSESSED) if one.day > 0 else None,
        flags=("nothing_assessed",),
    )
