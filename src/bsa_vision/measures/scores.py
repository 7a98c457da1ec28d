"""SCORTEN, ABCD-10, standardised mortality ratio and exact binomial limits.

A score with missing items is a range, never a score in which they count as zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import betaincinv, gammaincinv

#: US units to SI: a threshold is compared in the unit it was measured in.
_BUN_MG_DL_LIMIT = 28.0
_UREA_MMOL_L_LIMIT = 10.0
_GLUCOSE_MG_DL_LIMIT = 252.0
_GLUCOSE_MMOL_L_LIMIT = 14.0

#: Boundary rules of SCORTEN: whether a value equal to its threshold scores. Sources differ.
SCORTEN_RULES = {"scorten-exclusive/1": False, "scorten-inclusive/1": True}

#: Published mortality by score, percent (SCORTEN's first description); 5 and above: "> 90 %".
_PUBLISHED_MORTALITY = (3.2, 3.2, 12.1, 35.3, 58.3, 90.0, 90.0, 90.0)
#: logit p = intercept + slope x score. Second-hand, to be verified against the source.
_LOGISTIC_MORTALITY = (-4.448, 1.237)
MORTALITY_SETS = ("scorten-published/1", "scorten-logistic/1")

#: ABCD-10 weights. Second-hand, to be verified against the source.
_ABCD10_WEIGHTS = {
    "age_years": 1,
    "bicarbonate_mmol_l": 1,
    "active_cancer": 2,
    "dialysis_before_admission": 3,
    "counted_bsa_percent": 1,
}
ABCD10_RULE = "abcd-10/1"


@dataclass(frozen=True)
class Score:
    """A score, or the range it can have when items are missing.

    Attributes
    ----------
    low, high : least and greatest possible score; equal when nothing is missing.
    missing : names of the missing items.
    rule : name and version of the rule.
    """

    low: int
    high: int
    missing: tuple[str, ...]
    rule: str

    @property
    def value(self) -> int | None:
        """The score, or None while it is a range."""
        return self.low if self.low == self.high else None


@dataclass(frozen=True)
class ScortenItems:
    """Raw values; None is missing. Urea and glucose may be given in either unit."""

    age_years: float | None = None
    malignancy: bool | None = None
    heart_rate_per_min: float | None = None
    counted_bsa_percent: float | None = None
    urea_mmol_l: float | None = None
    bun_mg_dl: float | None = None
    bicarbonate_mmol_l: float | None = None
    glucose_mmol_l: float | None = None
    glucose_mg_dl: float | None = None


@dataclass(frozen=True)
class Abcd10Items:
    """Raw values; None is missing."""

    age_years: float | None = None
    bicarbonate_mmol_l: float | None = None
    active_cancer: bool | None = None
    dialysis_before_admission: bool | None = None
    counted_bsa_percent: float | None = None


@dataclass(frozen=True)
class ExactLimits:
    """A ratio with its exact confidence limits."""

    value: float
    low: float
    high: float


def score_scorten(items: ScortenItems, rule: str = "scorten-exclusive/1") -> Score:
    """SCORTEN, 0 to 7.

    Raises
    ------
    KeyError
        The rule is not in `SCORTEN_RULES`.
    """
    inclusive = SCORTEN_RULES[rule]
    points = {
        "age_years": _above(items.age_years, 40.0, inclusive),
        "malignancy": items.malignancy,
        "heart_rate_per_min": _above(items.heart_rate_per_min, 120.0, inclusive),
        "counted_bsa_percent": _above(items.counted_bsa_percent, 10.0, inclusive),
        "urea_mmol_l": _either(
            _above(items.urea_mmol_l, _UREA_MMOL_L_LIMIT, inclusive),
            _above(items.bun_mg_dl, _BUN_MG_DL_LIMIT, inclusive),
        ),
        "bicarbonate_mmol_l": _below(items.bicarbonate_mmol_l, 20.0, inclusive),
        "glucose_mmol_l": _either(
            _above(items.glucose_mmol_l, _GLUCOSE_MMOL_L_LIMIT, inclusive),
            _above(items.glucose_mg_dl, _GLUCOSE_MG_DL_LIMIT, inclusive),
        ),
    }
    return _add_up(points, dict.fromkeys(points, 1), rule)


def score_abcd10(items: Abcd10Items) -> Score:
    """ABCD-10, 0 to 8."""
    points = {
        "age_years": _above(items.age_years, 50.0, inclusive=True),
        "bicarbonate_mmol_l": _below(items.bicarbonate_mmol_l, 20.0, inclusive=False),
        "active_cancer": items.active_cancer,
        "dialysis_before_admission": items.dialysis_before_admission,
        "counted_bsa_percent": _above(items.counted_bsa_percent, 10.0, inclusive=True),
    }
    return _add_up(points, _ABCD10_WEIGHTS, ABCD10_RULE)


def _above(value: float | None, limit: float, inclusive: bool) -> bool | None:
    if value is None:
        return None
    return value >= limit if inclusive else value > limit


def _below(value: float | None, limit: float, inclusive: bool) -> bool | None:
    if value is None:
        return None
    return value <= limit if inclusive else value < limit


def _either(first: bool | None, second: bool | None) -> bool | None:
    """The same item in two units: whichever was given."""
    return first if first is not None else second


def _add_up(points: dict[str, bool | None], weights: dict[str, int], rule: str) -> Score:
    missing = tuple(name for name, point in points.items() if point is None)
    low = sum(weights[name] for name, point in points.items() if point)
    return Score(low, low + sum(weights[name] for name in missing), missing, rule)


def scorten_mortality(score: int, mortality_set: str) -> float:
    """Expected mortality of a SCORTEN, percent.

    The published set gives "> 90 %" for 5 and above; 90 is returned, its lower bound.

    Raises
    ------
    ValueError
        The score is not in 0..7 or the set is not in `MORTALITY_SETS`.
    """
    if not 0 <= score < len(_PUBLISHED_MORTALITY) or mortality_set not in MORTALITY_SETS:
        msg = f"need a score in 0..7 and one of {MORTALITY_SETS}, got {score}, {mortality_set!r}"
        raise ValueError(msg)
    if mortality_set == "scorten-published/1":
        return _PUBLISHED_MORTALITY[score]
    intercept, slope = _LOGISTIC_MORTALITY
    return 100 / (1 + math.exp(-(intercept + slope * score)))


def standardised_mortality_ratio(
    observed: int, probabilities: Sequence[float], level: float = 0.95
) -> ExactLimits:
    """Observed deaths over the sum of predicted probabilities, exact Poisson limits.

    Parameters
    ----------
    observed : deaths.
    probabilities : predicted probability of death of each patient, 0..1.

    Raises
    ------
    ValueError
        `observed` is negative or nothing was expected.
    """
    expected = math.fsum(probabilities)
    if observed < 0 or expected <= 0:
        msg = f"need observed >= 0 and expected > 0, got {observed} and {expected}"
        raise ValueError(msg)
    tail = (1 - level) / 2
    low = float(gammaincinv(observed, tail)) if observed else 0.0
    high = float(gammaincinv(observed + 1, 1 - tail))
    return ExactLimits(observed / expected, low / expected, high / expected)


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> ExactLimits:
    """Proportion with exact binomial limits (Clopper & Pearson 1934), as fractions.

    Raises
    ------
    ValueError
        `successes` is not in 0..`trials`, or there were no trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        msg = f"need 0 <= successes <= trials and a trial, got {successes} of {trials}"
        raise ValueError(msg)
    tail = (1 - level) / 2
    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return ExactLimits(successes / trials, low, high)
