"""SJS, SJS/TEN overlap or TEN by the extent of detached and detachable skin."""

from dataclasses import dataclass

from bsa_vision.measures.records import Estimate

SJS = "SJS"
OVERLAP = "SJS/TEN overlap"
TEN = "TEN"
_ORDER = (SJS, OVERLAP, TEN)

NOTHING_COUNTED = "no detached or detachable skin was seen"


def too_little_counted(percent: float, least_percent: float) -> str:
    """Why a small counted BSA gives neither a class nor a rate."""
    return f"{percent:.2f} % detached or detachable is below the {least_percent:g} % measured"


@dataclass(frozen=True)
class SeverityRule:
    """Where the classes part.

    Attributes
    ----------
    name, version, source : which rule this is.
    overlap_from : percent; less is SJS.
    ten_from : percent where TEN begins.
    ten_inclusive : whether `ten_from` itself is TEN.
    """

    name: str
    version: str
    source: str
    overlap_from: float
    ten_from: float
    ten_inclusive: bool

    def classify(self, percent: float) -> str:
        """Class of a counted BSA in percent."""
        if percent < self.overlap_from:
            return SJS
        if percent > self.ten_from or (self.ten_inclusive and percent == self.ten_from):
            return TEN
        return OVERLAP


RULES = {
    rule.name: rule
    for rule in (
        SeverityRule(
            name="international",
            version="international/1",
            source="SJS < 10 %, overlap 10-30 %, TEN > 30 % of BSA (Bastuji-Garin 1993)",
            overlap_from=10.0,
            ten_from=30.0,
            ten_inclusive=False,
        ),
        SeverityRule(
            name="pnds-2018",
            version="pnds-2018/1",
            source="SJS < 10 %, overlap 10-29 %, TEN >= 30 % of BSA (French protocol, PNDS 2018)",
            overlap_from=10.0,
            ten_from=30.0,
            ten_inclusive=True,
        ),
    )
}


@dataclass(frozen=True)
class SeverityCall:
    """The class of an extent.

    Attributes
    ----------
    rule : version of the rule used.
    severity : class, or None with a `reason`.
    possible : the classes that the interval reaches, mildest first; empty when it reaches no
        counted skin.
    straddles : whether the interval crosses a border between classes.
    """

    rule: str
    severity: str | None
    possible: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def straddles(self) -> bool:
        """Whether more than one class is possible."""
        return len(self.possible) > 1


def classify_severity(
    counted: Estimate, rule_name: str, least_percent: float = 0.0
) -> SeverityCall:
    """Classify a counted BSA with its interval; less than `least_percent` has no class.

    Raises
    ------
    KeyError
        The rule is not in `RULES`.
    """
    rule = RULES[rule_name]
    if counted.percent is None or counted.low is None or counted.high is None:
        return SeverityCall(rule.version, None, reason=counted.reason)
    first = _ORDER.index(rule.classify(counted.low))
    last = _ORDER.index(rule.classify(counted.high))
    possible = _ORDER[first : last + 1] if counted.high > 0 else ()
    if counted.percent == 0:
        return SeverityCall(rule.version, None, possible, NOTHING_COUNTED)
    if counted.percent < least_percent:
        reason = too_little_counted(counted.percent, least_percent)
        return SeverityCall(rule.version, None, possible, reason)
    return SeverityCall(rule.version, rule.classify(counted.percent), possible)
