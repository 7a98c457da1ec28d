import pytest

from bsa_vision.measures.records import Estimate
from bsa_vision.measures.severity import RULES, classify_severity


@pytest.mark.parametrize(
    ("percent", "international", "french"),
    [
        (0.5, "SJS", "SJS"),
        (9.99, "SJS", "SJS"),
        (10.0, "SJS/TEN overlap", "SJS/TEN overlap"),
        (29.5, "SJS/TEN overlap", "SJS/TEN overlap"),
        (30.0, "SJS/TEN overlap", "TEN"),
        (30.01, "TEN", "TEN"),
        (85.0, "TEN", "TEN"),
    ],
)
def test_the_two_rules_differ_at_30_percent_alone(percent, international, french):
    assert RULES["international"].classify(percent) == international
    assert RULES["pnds-2018"].classify(percent) == french


def test_an_interval_across_a_border_is_flagged():
    call = classify_severity(Estimate(9.0, 7.0, 12.0), "international")
    assert call.severity == "SJS"
    assert call.straddles
    assert call.possible == ("SJS", "SJS/TEN overlap")
    assert call.rule == "international/1"
    wide = classify_severity(Estimate(20.0, 8.0, 33.0), "international")
    assert wide.possible == ("SJS", "SJS/TEN overlap", "TEN")


def test_an_interval_within_a_class_is_not():
    assert not classify_severity(Estimate(20.0, 15.0, 25.0), "international").straddles


def test_no_class_without_a_number_or_without_counted_skin():
    missing = classify_severity(Estimate.missing("nothing was seen"), "international")
    assert (missing.severity, missing.reason) == (None, "nothing was seen")
    none = classify_severity(Estimate(0.0, 0.0, 0.0), "international")
    assert (none.severity, none.possible, none.straddles) == (None, (), False)


def test_no_counted_skin_seen_does_not_exclude_the_classes_that_the_interval_reaches():
    call = classify_severity(Estimate(0.0, 0.0, 15.0), "international")
    assert call.severity is None
    assert call.reason
    assert call.possible == ("SJS", "SJS/TEN overlap")
    assert call.straddles


def test_traces_have_no_class():
    call = classify_severity(Estimate(0.02, 0.0, 0.1), "international", 0.5)
    assert call.severity is None
    assert "0.02 %" in call.reason
    assert classify_severity(Estimate(0.5, 0.2, 0.9), "international", 0.5).severity == "SJS"
