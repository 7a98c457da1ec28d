"""Write what a series gave: tables, charts, the report and, last, the results document."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bsa_vision.core.provenance import canonical_json
from bsa_vision.report.html import report_html
from bsa_vision.report.tables import regions_csv, visits_csv

RESULTS_NAME = "results.json"


def write_report(
    out_dir: Path,
    document: Mapping[str, Any],
    charts: Mapping[int, bytes],
    thumbnails: Mapping[str, bytes],
) -> Path:
    """Write all files of one series and return the path of its report.

    ``results.json`` of an earlier run goes first, the new one is written last and every file in one
    step, so that an interrupted run leaves no results document beside files of another run.

    Parameters
    ----------
    out_dir : made when it does not exist.
    document : a results document.
    charts : picture of the body chart by day, PNG.
    thumbnails : picture by photo file name as in the document, JPEG or PNG.
    """
    discard_results(out_dir)
    report = out_dir / "report.html"
    drawn = {out_dir / "charts" / f"{day_name(day)}.png": charts[day] for day in charts}
    for path, picture in drawn.items():
        _write(path, picture)
    discard_pictures(out_dir / "charts", drawn.keys())
    _write(out_dir / "visits.csv", visits_csv(document))
    _write(out_dir / "regions.csv", regions_csv(document))
    _write(report, report_html(document, charts, thumbnails).encode())
    _write(out_dir / RESULTS_NAME, canonical_json(document).encode())
    return report


def discard_results(out_dir: Path) -> None:
    """Remove the results document of an earlier run, before any of its other files changes."""
    (out_dir / RESULTS_NAME).unlink(missing_ok=True)


def discard_pictures(folder: Path, kept: Collection[Path]) -> None:
    """Remove PNG files in and below a folder, and unfinished ones, except those that are `kept`."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".png", ".part"} and path not in kept and path.is_file():
            path.unlink()


def day_name(day: int) -> str:
    """``D05`` for day 5, ``D-02`` for two days before the infusion."""
    return f"D{day:03d}" if day < 0 else f"D{day:02d}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)
