"""The report of one patient: one HTML file without scripts or outside resources."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from bsa_vision.core.labels import LABEL_COLOURS, Label
from bsa_vision.report.figures import area_plot, rate_plot
from bsa_vision.report.page import data_uri, environment, words
from bsa_vision.report.thumbnails import OUTLINED

_MISSING = "\N{EN DASH}"
_LABEL_WORDS = {
    Label.UNAFFECTED: "unaffected",
    Label.ERYTHEMA: "erythema (not counted)",
    Label.DETACHABLE: "detachable (counted)",
    Label.DETACHED: "detached (counted)",
    Label.REEPITHELIALISED: "re-epithelialised",
    Label.NOT_ASSESSABLE: "not assessable (dressing, device, glare)",
}
#: Flags of a visit, of the maximum or of a rate, as they stand beside the number.
_FLAG_WORDS = {
    "nothing_assessed": "no skin assessed",
    "sparsely_seen": "too little skin seen",
    "mostly_filled": "mostly estimated",
    "capped": "capped",
    "provisional": "provisional",
}
_PHOTOGRAPH_MORE = (
    "Photograph the views that are missing, and skin beneath dressings when they are changed; "
    "“What was not assessed” names the regions."
)
#: What the flags of a visit mean, and what to do.
_VISIT_FLAG_NOTES = {
    "nothing_assessed": "no photo of this visit could be used, so there are no numbers. The "
    "remarks under “Photo quality” say why, and what to do.",
    "sparsely_seen": "too little of the skin was seen to speak for the whole body, so there are no "
    f"numbers for it. {_PHOTOGRAPH_MORE}",
    "mostly_filled": "more than half of the skin was not assessed. Most of each number is an "
    f"estimate from the skin that was. {_PHOTOGRAPH_MORE}",
}
#: Regions named in words; the table below them has them all.
_MOST_NAMED = 4
_LEAST_NAMED_PERCENT = 0.05

Record = Mapping[str, Any]


def report_html(
    document: Record, charts: Mapping[int, bytes], thumbnails: Mapping[str, bytes]
) -> str:
    """Render the report.

    Parameters
    ----------
    document : a results document.
    charts : picture of the body chart by day, PNG or SVG.
    thumbnails : picture by photo file name as in the document.
    """
    templates = environment()
    templates.filters.update(
        number=_number,
        interval=_interval,
        words=words,
        flag=_FLAG_WORDS.__getitem__,
        decided_by_history=_decided_by_history,
    )
    return templates.get_template("report.html.j2").render(
        document=document,
        charts={day: data_uri(picture) for day, picture in sorted(charts.items())},
        thumbnails={name: data_uri(picture) for name, picture in thumbnails.items()},
        # The plots are made of numbers and constant words alone.
        area_plot=Markup(area_plot(document)),  # noqa: S704 (our own SVG)
        rate_plot=Markup(rate_plot(document)),  # noqa: S704 (our own SVG)
        chart_legend=[(_css(label), words) for label, words in _LABEL_WORDS.items()],
        outline_legend=[(_css(label), _LABEL_WORDS[label]) for label in OUTLINED],
        not_assessed=[(visit, describe_not_assessed(visit)) for visit in document["visits"]],
        regions=_region_rows(document["visits"]),
        reasons=_reasons(document),
        flag_notes=describe_flags(document),
        masks_made_by=_masks_made_by(document),
    )


def describe_flags(document: Record) -> list[str]:
    """What is to be known of numbers that rest on little skin, and what to do about it."""
    endpoints = document["endpoints"]
    notes = [
        f"D{visit['day']}: {_VISIT_FLAG_NOTES[flag]}"
        for visit in document["visits"]
        for flag in visit["flags"]
    ]
    maximum = endpoints["max_counted_bsa"]
    if "mostly_filled" in maximum["flags"]:
        notes.append(
            f"The maximal counted BSA is that of D{maximum['day']}, on which more than half of the "
            "skin was not assessed: every rate is divided by a number that is mostly an estimate."
        )
    filled = [
        f"D{day}"
        for day, rate in endpoints["reepithelialisation_rate"].items()
        if "mostly_filled" in rate["flags"]
    ]
    if filled:
        notes.append(
            f"Re-epithelialisation rate of {', '.join(filled)}: more than half of the skin was not "
            "assessed on that day or on the day of the maximum. Do not compare it with rates of "
            "patients who were photographed from all sides."
        )
    return notes


def _masks_made_by(document: Record) -> str:
    model = document["provenance"]["model"]
    if model["name"] is not None:
        return f"{model['name']}, SHA-256 {model['digest']}"
    sources = {photo["mask_source"] for visit in document["visits"] for photo in visit["photos"]}
    if "given" in sources:
        return "none: all masks were given"
    return "none: no photo came as far as a mask; see the remarks under “Photo quality”"


def describe_not_assessed(visit: Record) -> str:
    """What a visit's photos did not show, in words."""
    total = visit["not_assessed_percent"]
    if total < _LEAST_NAMED_PERCENT:
        return "All skin was assessed."
    parts = [
        f"{_percent(visit[key])} {words}"
        for key, words in (
            ("never_seen_percent", "in no usable photo"),
            ("hidden_percent", "seen only beneath a dressing, a device or glare"),
        )
        if visit[key] >= _LEAST_NAMED_PERCENT
    ]
    ranked = sorted(visit["regions"], key=lambda region: -region["not_assessed_percent"])
    named = [
        f"{region['side'] or ''} {_region_name(region, with_side=False)} ".lstrip()
        + _percent(region["not_assessed_percent"])
        for region in ranked[:_MOST_NAMED]
        if region["not_assessed_percent"] >= _LEAST_NAMED_PERCENT
    ]
    bounds = visit["counted_bsa_bounds"]
    return (
        f"{_percent(total)} of BSA was not assessed: {'; '.join(parts)}. "
        f"Most of it: {', '.join(named)}. "
        f"Were all of it healthy, counted BSA would be {_percent(bounds['all_healthy'])}; "
        f"were all of it affected, {_percent(bounds['all_affected'])}."
    )


def _region_rows(visits: Sequence[Record]) -> list[tuple[str, float, list[Record]]]:
    """Name, size and the regions of all visits, for every row of the chart."""
    if not visits:
        return []
    columns = zip(*(visit["regions"] for visit in visits), strict=True)
    return [(_region_name(row[0]), row[0]["bsa_percent"], list(row)) for row in columns]


def _region_name(region: Record, *, with_side: bool = True) -> str:
    name = words(region["region"])
    return f"{name}, {region['side']}" if region["side"] and with_side else name


def _reasons(document: Record) -> list[str]:
    """Why numbers of the summary are missing, each reason once."""
    endpoints = document["endpoints"]
    records = [
        endpoints["max_counted_bsa"],
        endpoints["severity"],
        endpoints["responder_d7"],
        *endpoints["reepithelialisation_rate"].values(),
    ]
    for visit in document["visits"]:
        records += [visit["counted_bsa"], visit["reepithelialisation_rate"], visit["severity"]]
        records += [visit["new_detachment"]] if visit["new_detachment"] else []
    reasons = (record.get("reason") for record in records)
    return list(dict.fromkeys(reason for reason in reasons if reason))


def _number(value: float | None, decimals: int = 1) -> str:
    return _MISSING if value is None else f"{value:.{decimals}f}"


def _percent(value: float) -> str:
    """With a space that does not break."""
    return f"{value:.1f}\N{NO-BREAK SPACE}%"


def _interval(record: Record, decimals: int = 1) -> str:
    if record["low"] is None or record["high"] is None:
        return ""
    return f"{record['low']:.{decimals}f}\N{EN DASH}{record['high']:.{decimals}f}"


def _decided_by_history(visit: Record) -> str:
    """What earlier visits changed in the healed skin of a visit, in words; empty when nothing."""
    parts = {
        "inferred": visit["reepithelialised_inferred_percent"],
        "ruled out": visit["reepithelialised_ruled_out_percent"],
    }
    return ", ".join(f"{name} {_number(value)}" for name, value in parts.items() if value >= 0.05)


def _css(label: Label) -> str:
    red, green, blue = LABEL_COLOURS[label]
    return f"#{red:02x}{green:02x}{blue:02x}"
