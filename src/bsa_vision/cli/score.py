"""`bsa-vision score`: photo series in, percentages, rates, charts and a report out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bsa_vision.cli.console import ExitCode, progress_bars, results, say, warn, write_json

if TYPE_CHECKING:
    from bsa_vision.app.score import SeriesOutcome


#: Columns of the table and where their numbers are in a visit.
_STATES = {
    "detached": "detached",
    "detachable": "detachable",
    "healed": "reepithelialised",
    "erythema": "erythema",
}


class Weighting(StrEnum):
    """How a cell's share of the body surface is found."""

    LUND_BROWDER = "lund-browder"
    PERSONAL = "personal"


class Masks(StrEnum):
    """Where the skin states of a photo come from."""

    AUTO = "auto"
    GIVEN = "given"
    MODEL = "model"


class SeverityRule(StrEnum):
    """Where SJS, overlap and TEN part."""

    INTERNATIONAL = "international"
    PNDS_2018 = "pnds-2018"


def score(
    series: Annotated[list[Path], typer.Argument(help="Series folders (with series.json).")],
    out: Annotated[Path, typer.Option(help="Where the results go; one folder per series.")],
    weighting: Annotated[
        Weighting, typer.Option(help="Published table for the age, or this patient's own surface.")
    ] = Weighting.LUND_BROWDER,
    masks: Annotated[
        Masks, typer.Option(help="auto: a listed mask where there is one, else the model's.")
    ] = Masks.AUTO,
    model: Annotated[
        str | None, typer.Option(help="Model name or folder; else the default of `models list`.")
    ] = None,
    severity_rule: Annotated[
        SeverityRule, typer.Option(help="Classes: TEN above 30 %, or (pnds-2018) from 30 %.")
    ] = SeverityRule.INTERNATIONAL,
    responder_cut_off: Annotated[
        float, typer.Option(metavar="PERCENT", help="Lowest rate at D7 of a responder.")
    ] = 90.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 1,
    overwrite: Annotated[bool, typer.Option(help="Score again what is already done.")] = False,
    json: Annotated[bool, typer.Option("--json", help="A JSON document on stdout.")] = False,
) -> None:
    """Score photo series: percent of body surface, healing rates."""
    from bsa_vision.app.score import score_many

    with progress_bars() as progress:
        outcomes = score_many(
            series,
            out,
            weighting=weighting.value,
            masks=masks.value,
            model=model,
            severity_rule=severity_rule.value,
            responder_cut_off=responder_cut_off,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    if json:
        write_json({"format": "bsa-vision-score/1", "series": [_record(o) for o in outcomes]})
    else:
        for outcome in outcomes:
            show_outcome(outcome)
    raise typer.Exit(code_of(outcomes))


def code_of(outcomes: list["SeriesOutcome"]) -> ExitCode:
    """0 where every photo of every series was used; see `ExitCode` for the others.

    A series skipped because it was scored before counts as it did then.
    """
    statuses = {_scored_status(outcome) for outcome in outcomes}
    if statuses == {"done"}:
        return ExitCode.DONE
    if statuses & {"done", "partial"}:
        return ExitCode.SOME_FAILED
    # Nothing was scored: errors in the software come first, for they are not for the user to mend.
    if any(_failed(outcome) for outcome in outcomes):
        return ExitCode.BUG
    unread = all(outcome.document is None for outcome in outcomes)
    return ExitCode.BAD_INPUT if unread else ExitCode.ALL_REFUSED


def _scored_status(outcome: "SeriesOutcome") -> str:
    """The status, and for a skipped series the one of the run that scored it."""
    if outcome.status != "skipped" or outcome.document is None:
        return outcome.status
    used = [photo["status"] == "scored" for photo in _photos(outcome.document)]
    if all(used):
        return "done"
    return "partial" if any(used) else "refused"


def _failed(outcome: "SeriesOutcome") -> bool:
    """Whether an error in the software was met in a series of which nothing was scored."""
    if outcome.document is None:
        return outcome.status == "failed"
    return any(photo["code"] == "photo_failed" for photo in _photos(outcome.document))


def _photos(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [photo for visit in document["visits"] for photo in visit["photos"]]


def show_outcome(outcome: "SeriesOutcome") -> None:
    """Print a series' table, what went wrong with it and where its report is."""
    from rich.table import Table

    document = outcome.document
    if document is None:
        warn(f"{outcome.series}: {outcome.status}: {outcome.reason}", style="red")
        return
    title = f"{outcome.out.name}: percent of body surface (low to high)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("day", no_wrap=True)
    for heading in ("counted", *_STATES, "not assessed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for visit in document["visits"]:
        table.add_row(
            f"D{visit['day']}",
            _interval(visit["counted_bsa"]),
            *(_number(visit[name]["percent"]) for name in _STATES.values()),
            _number(visit["not_assessed_percent"]),
        )
    results().print(table)
    for line in _endpoint_lines(document["endpoints"]):
        say(line)
    for line in (*_visit_lines(document), *_photo_lines(document)):
        warn(line)
    if outcome.status == "skipped":
        say("Already scored with these photos, model and settings; --overwrite repeats.")
    say(f"Report: {outcome.out / 'report.html'}")


def _record(outcome: "SeriesOutcome") -> dict[str, Any]:
    return {
        "series": str(outcome.series),
        "out": str(outcome.out),
        "status": outcome.status,
        "reason": outcome.reason,
        "results": outcome.document,
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _interval(value: dict[str, Any]) -> str:
    if value["percent"] is None:
        return "-"
    return f"{value['percent']:.1f} ({_number(value['low'])} to {_number(value['high'])})"


def _endpoint_lines(endpoints: dict[str, Any]) -> list[str]:
    """The maximum, the rates and the responder call, one line each."""
    maximum, responder = endpoints["max_counted_bsa"], endpoints["responder_d7"]
    day = "" if maximum["day"] is None else f", D{maximum['day']}, {maximum['status']}"
    lines = [f"Maximal counted BSA: {_given(maximum)}{day}{_flags(maximum)}"]
    rates = endpoints["reepithelialisation_rate"]
    for rate_day in sorted(rates, key=int):
        rate = rates[rate_day]
        lines.append(f"Re-epithelialisation D{rate_day}: {_given(rate)}{_flags(rate)}")
    call = {True: "yes", False: "no", None: f"not given: {responder.get('reason')}"}
    straddles = ", the interval straddles the cut-off" if responder["straddles"] else ""
    lines.append(
        f"Responder at D{responder['day']} (>= {responder['cut_off']:g} %): "
        f"{call[responder['responder']]}{straddles}"
    )
    return lines


def _flags(record: dict[str, Any]) -> str:
    return "".join(f", {flag.replace('_', ' ')}" for flag in record["flags"])


def _given(estimate: dict[str, Any]) -> str:
    if estimate["percent"] is None:
        return f"not given: {estimate['reason']}"
    return f"{_interval(estimate)} %"


def _visit_lines(document: dict[str, Any]) -> list[str]:
    """Why numbers of a visit are missing or rest on little skin, and which photos would help."""
    lines = []
    for visit in document["visits"]:
        if visit["counted_bsa"]["percent"] is None:
            lines.append(f"D{visit['day']}: not given: {visit['counted_bsa']['reason']}")
        elif "mostly_filled" in visit["flags"]:
            lines.append(
                f"D{visit['day']}: mostly filled: more than half of the skin was not assessed; "
                "photograph the missing views"
            )
        lines += [
            f"D{visit['day']}: {photo['view']} would show {photo['shows_percent']:.1f} % more"
            f"{', taken again' if photo['again'] else ''}: {photo['how']}"
            for photo in visit["photos_to_take"]
        ]
    return lines


def _photo_lines(document: dict[str, Any]) -> list[str]:
    """Every photo that was refused, or used without a colour card or scale, with its reason."""
    lines = []
    for visit in document["visits"]:
        for photo in visit["photos"]:
            name = f"D{visit['day']} {photo['file']}: {photo['status']}"
            if photo["reason"]:
                lines.append(f"{name}: {photo['reason']} {photo['remedy'] or ''}".rstrip())
            else:
                notes = dict.fromkeys((photo["colour_reason"], photo["scale_reason"]))
                told = " ".join(note for note in notes if note)
                lines += [f"{name}, but: {told}"] if told else []
    return lines
