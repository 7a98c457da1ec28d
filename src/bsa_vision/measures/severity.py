"""SJS, SJS/TEN overlap or TEN by the extent of detached and detachable skin."""

from dataclasses import dataclass

from bsa_vision.measures.records import Estimate

SJS = "SJS"
OVERLAP = "SJS/TEN overlap"
TEN = "TEN"
_ORDER = (SJS, OVERLAP, TEN)


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


def classify_severity(counted: Estimate, rule_name: str) -> SeverityCall:
    """Classify a counted BSA with its interval.

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
        return SeverityCall(rule.version, None, possible, "no detached or detachable skin was seen")
    return SeverityCall(rule.version, rule.classify(counted.percent), possible)
