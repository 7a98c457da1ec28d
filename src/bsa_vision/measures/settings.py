"""Every number that the intervals and the endpoints depend on, named, with its reason."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class IntervalSettings:
    """How uncertain each source is taken to be.

    The standard deviations are of Gaussian draws. They are starting values from the literature
    named here; the shipped ones are checked by how often nominal 90 % intervals cover the truth
    of rendered patients.

    Attributes
    ----------
    draws, seed, level : number of Monte Carlo draws, their seed, nominal coverage.
    fill_length_cm : distance over which seen skin informs unseen skin. SJS/TEN lesions are
        confluent patches of several centimetres.
    unseen_logit_sd : how far the mix of states in unseen skin may differ, on the logit scale, from
        what the seen skin suggests; folds, soles and skin beneath a dressing are not a random
        sample.
    unseen_prior_percent : weight, in percent of BSA, of a flat prior on the states of unseen
        skin, so that an unaffected seen half does not make the other half certain.
    model_confusion_sd : share of the geometric mean of two look-alike states that a network swaps
        between them, in a whole visit. As large as the shipped weights need for nominal 90 %
        intervals of counted BSA to hold 90 % of 24 visits of 6 rendered patients; checked on 6
        others (docs/BENCHMARKS.md).
    given_confusion_sd : the same for masks drawn by people.
    model_border_sd, given_border_sd : share of the skin that is split between two states (borders
        and undecided pixels) that may belong to the other state.
    row_ratio : standard deviation of confusions particular to one chart row, relative to those
        of the whole visit (one light, one skin, one reader).
    series_share : share of the variance of confusions and of unseen skin that all visits of a
        patient have in common (same skin, same model, same views).
    row_area_log_sd : log error of a chart row's share of the surface, the body model against the
        person: regional areas of the model agree with the published table within about 5 %.
    patch_area_log_sd : log error of a state's area inside a row, from uneven stretch of the body
        model there.
    """

    draws: int = 400
    seed: int = 20261122
    level: float = 0.90
    fill_length_cm: float = 8.0
    unseen_logit_sd: float = 0.7
    unseen_prior_percent: float = 1.0
    model_confusion_sd: float = 0.4
    given_confusion_sd: float = 0.015
    model_border_sd: float = 1.0
    given_border_sd: float = 0.25
    row_ratio: float = 0.7
    series_share: float = 0.5
    row_area_log_sd: float = 0.05
    patch_area_log_sd: float = 0.05

    def __post_init__(self) -> None:
        if self.draws < 20 or not 0 < self.level < 1:
            msg = f"IntervalSettings: need 20 draws or more and a level in (0, 1), got {self}"
            raise ValueError(msg)

    @property
    def quantiles(self) -> tuple[float, float]:
        """Lower and upper quantile of the draws."""
        tail = (1 - self.level) / 2
        return tail, 1 - tail


@dataclass(frozen=True)
class EndpointSettings:
    """The trial's endpoints.

    Attributes
    ----------
    rate_days : days of the re-epithelialisation rate.
    responder_day, responder_cut_off : day and lowest rate, percent, of a responder. No cut-off
        for "complete or almost complete" is published for the trial.
    responder_beside : cut-offs reported beside it.
    last_planned_day : once a visit on or after this day is in, the maximum is locked.
    severity_rule : name of a rule in `measures.severity.RULES`.
    least_seen_percent : share of BSA that a visit must have assessed to give percentages of the
        whole body. One photo of a whole body shows over 40 %; less means that parts were
        photographed, most likely for their lesions, and they do not speak for the rest.
    least_counted_percent : counted BSA below this has no class and is no maximum to divide by; it
        is half the area of a hand with its fingers, and sums of probabilities are never quite 0.
    """

    rate_days: tuple[int, ...] = (5, 10, 15)
    responder_day: int = 7
    responder_cut_off: float = 90.0
    responder_beside: tuple[float, ...] = (95.0, 100.0)
    last_planned_day: int = 15
    severity_rule: str = "international"
    least_seen_percent: float = 25.0
    least_counted_percent: float = 0.5


@dataclass(frozen=True)
class HistorySettings:
    """When earlier visits decide whether skin is healed, see `measures.history`.

    Attributes
    ----------
    lost_from : counted share of a cell from which on it is remembered as lost, and detached share
        from which on as bare. Lower shares are
        doubts of a network more often than small lesions, and over the visits their maxima would
        add up.
    intact_below : counted and healed share of a cell below which, on all earlier visits, it never
        was lost.
    covered_after_days : a look at a cell says nothing of a visit that is more days later, as skin
        can have been lost and covered since. The longest gap between the visits of the trial; the
        literature has re-epithelialisation take one to three weeks.
    """

    lost_from: float = 0.5
    intact_below: float = 0.1
    covered_after_days: int = 5


@dataclass(frozen=True)
class MeasureSettings:
    """All settings of the measures."""

    intervals: IntervalSettings = field(default_factory=IntervalSettings)
    endpoints: EndpointSettings = field(default_factory=EndpointSettings)
    history: HistorySettings = field(default_factory=HistorySettings)

    def as_document(self) -> dict[str, Any]:
        """JSON-able record of every setting, for the provenance."""
        return {
            part: {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in values.items()
            }
            for part, values in asdict(self).items()
        }
