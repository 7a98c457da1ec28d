"""Write what a series gave: tables, charts, the report and, last, the results document."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bsa_vision.core.provenance import canonical_json
from bsa_vision.report.html import report_html
from bsa_vision.report.tables import regions_csv, visits_csv

RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"
VISITS_NAME, REGIONS_NAME = "visits.csv", "regions.csv"
CHARTS_FOLDER = "charts"
_UNFINISHED = ".unfinished"


def write_report(
    out_dir: Path,
    document: Mapping[str, Any],
    charts: Mapping[int, bytes],
    thumbnails: Mapping[str, bytes],
) -> Path:
    """Write all files of one series and return the path of its report.

    What an earlier run wrote goes first, ``results.json`` is written last and every file in one
    step, so that an interrupted run leaves nothing of another run, and no results document.

    Parameters
    ----------
    out_dir : made when it does not exist.
    document : a results document.
    charts : picture of the body chart by day, PNG.
    thumbnails : picture by photo file name as in the document, JPEG or PNG.
    """
    discard_results(out_dir)
    report = out_dir / REPORT_NAME
    for day, picture in charts.items():
        _write(out_dir / CHARTS_FOLDER / f"{day_name(day)}.png", picture)
    _write(out_dir / VISITS_NAME, visits_csv(document))
    _write(out_dir / REGIONS_NAME, regions_csv(document))
    _write(report, report_html(document, charts, thumbnails).encode())
    _write(out_dir / RESULTS_NAME, canonical_json(document).encode())
    return report


def discard_results(out_dir: Path) -> None:
    """Remove what an earlier run made of its masks, before any of them changes.

    The results document goes first: where it is, all else is of the same run.
    """
    for name in (RESULTS_NAME, REPORT_NAME, VISITS_NAME, REGIONS_NAME):
        path = out_dir / name
        path.unlink(missing_ok=True)
        _unfinished(path).unlink(missing_ok=True)
    discard_pictures(out_dir / CHARTS_FOLDER, ())


def discard_pictures(folder: Path, kept: Collection[Path]) -> None:
    """Remove PNG files in and below a folder, and unfinished ones, except those that are `kept`."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".png", ".part", _UNFINISHED} and path not in kept and path.is_file():
            path.unlink()


def day_name(day: int) -> str:
    """``D05`` for day 5, ``D-02`` for two days before the infusion."""
    return f"D{day:03d}" if day < 0 else f"D{day:02d}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _unfinished(path)
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _unfinished(path: Path) -> Path:
    """Under what name a file is written."""
    return path.with_name(f".{path.name}{_UNFINISHED}")
