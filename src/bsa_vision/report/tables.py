"""The results as CSV files that spreadsheets open without questions.

Percentages are of BSA unless the column says ``of_max``. Comma-separated, decimal point, one header
line, CR LF line ends. The byte-order mark that makes Excel read UTF-8 is written only when there is
anything beyond ASCII, so that plain readers rarely meet it.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bsa_vision.report.results import ESTIMATE_KEYS

Cell = str | float | int | None
_BOUNDS = ("percent", "low", "high")
_ESTIMATE_COLUMNS = tuple(
    f"{key}{suffix}_percent" for key in ESTIMATE_KEYS for suffix in ("", "_low", "_high")
)
#: First characters that a spreadsheet would take for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
#: What a spreadsheet would take for a number, and change: 0012, 3E5.
_NUMBER = re.compile(r"\d+(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE)
#: ... or for a date: 01-03, 1.2.26, MAR-12, 3mars26. Whether the word is a month is looked up.
_DATE = re.compile(r"\d{1,4}([-./]\d{1,4}){1,2}")
_DATE_WITH_MONTH = re.compile(r"(\d{1,4}[-./]?)?([a-z]{3,})((?:[-./]?\d{1,4}){0,2})", re.IGNORECASE)
#: Names in English, French and German; spreadsheets also know their beginnings.
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december", "janvier", "fevrier", "mars", "avril", "mai", "juin"),
    *("juillet", "aout", "septembre", "octobre", "novembre", "decembre", "januar", "februar"),
    *("maerz", "mrz", "juni", "juli", "oktober", "dezember"),
)


def visits_csv(document: Mapping[str, Any]) -> bytes:
    """One row per visit of a results document."""
    header = [
        "patient",
        "day",
        *_ESTIMATE_COLUMNS,
        "not_assessed_percent",
        "never_seen_percent",
        "hidden_percent",
        "filled_percent",
        "reepithelialised_inferred_percent",
        "reepithelialised_ruled_out_percent",
        "counted_bsa_if_unassessed_healthy_percent",
        "counted_bsa_if_unassessed_affected_percent",
        "max_counted_bsa_to_day_percent",
        *(f"reepithelialisation_rate{suffix}_percent_of_max" for suffix in ("", "_low", "_high")),
        "reepithelialisation_rate_status",
        "new_detachment_since_d0_percent",
        "class",
        "class_straddles",
        "photos_scored",
        "photos_refused",
        "reasons",
    ]
    return _write(header, [_visit_row(document, visit) for visit in document["visits"]])


def regions_csv(document: Mapping[str, Any]) -> bytes:
    """One row per visit and chart region of a results document."""
    header = [
        "patient",
        "day",
        "region",
        "side",
        "region_percent",
        *_ESTIMATE_COLUMNS,
        "not_assessed_percent",
        "never_seen_percent",
        "hidden_percent",
        "reason",
    ]
    rows: list[list[Cell]] = [
        [
            document["patient"]["id"],
            visit["day"],
            region["region"],
            region["side"],
            region["bsa_percent"],
            *_estimates(region),
            region["not_assessed_percent"],
            region["never_seen_percent"],
            region["hidden_percent"],
            region["counted_bsa"].get("reason"),
        ]
        for visit in document["visits"]
        for region in visit["regions"]
    ]
    return _write(header, rows)


def _visit_row(document: Mapping[str, Any], visit: Mapping[str, Any]) -> list[Cell]:
    rate, new, severity = (
        visit["reepithelialisation_rate"],
        visit["new_detachment"] or {"percent": None},
        visit["severity"],
    )
    scored = sum(photo["status"] == "scored" for photo in visit["photos"])
    parts = (visit["counted_bsa"], rate, new, severity)
    reasons = {str(part["reason"]) for part in parts if "reason" in part}
    return [
        document["patient"]["id"],
        visit["day"],
        *_estimates(visit),
        visit["not_assessed_percent"],
        visit["never_seen_percent"],
        visit["hidden_percent"],
        visit["filled_percent"],
        visit["reepithelialised_inferred_percent"],
        visit["reepithelialised_ruled_out_percent"],
        visit["counted_bsa_bounds"]["all_healthy"],
        visit["counted_bsa_bounds"]["all_affected"],
        visit["max_counted_bsa_to_day"],
        *(rate[bound] for bound in _BOUNDS),
        rate["status"],
        new["percent"],
        severity["class"],
        "yes" if severity["straddles"] else "no",
        scored,
        len(visit["photos"]) - scored,
        "; ".join(sorted(reasons)),
    ]


def _estimates(record: Mapping[str, Any]) -> list[Cell]:
    return [record[key][bound] for key in ESTIMATE_KEYS for bound in _BOUNDS]


def _write(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([[_harmless(cell) for cell in row] for row in rows])
    text = stream.getvalue()
    return text.encode("utf-8" if text.isascii() else "utf-8-sig")


def _harmless(cell: Cell) -> Cell:
    """Text that a spreadsheet takes for text, not a formula, number or date; None stays empty."""
    if isinstance(cell, str) and (cell.startswith(_FORMULA_STARTS) or _reads_as_value(cell)):
        return f"'{cell}"
    return cell


def _reads_as_value(text: str) -> bool:
    """Whether a spreadsheet would turn a text into a number or a date."""
    if _NUMBER.fullmatch(text) or _DATE.fullmatch(text):
        return True
    found = _DATE_WITH_MONTH.fullmatch(text)
    if found is None or not (found[1] or found[3]):
        return False
    return any(month.startswith(found[2].lower()) for month in _MONTHS)
