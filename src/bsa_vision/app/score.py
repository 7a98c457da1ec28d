"""Scoring series folders: photos to evidence in workers, evidence to results and report."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bsa_vision import __version__
from bsa_vision.app.facts import photo_facts
from bsa_vision.app.output import make_writable, refuse_inputs
from bsa_vision.app.photo_job import PhotoDone, PhotoJob, in_agreement, run_photo
from bsa_vision.app.progress import Progress, ProgressEvent, silent
from bsa_vision.app.resume import (
    RunSettings,
    input_digest,
    measure_settings,
    written_document,
    written_patient,
)
from bsa_vision.app.series import Series, read_series
from bsa_vision.chart.body import Body, solve_body
from bsa_vision.chart.cells import CHART_VERSION, load_cells
from bsa_vision.chart.draw import NOT_ASSESSED, chart_png
from bsa_vision.chart.fuse import fuse
from bsa_vision.chart.guide import PhotoToTake, photos_to_take
from bsa_vision.chart.regions import Weighting
from bsa_vision.core.errors import InputError, Refused
from bsa_vision.core.labels import N_LABELS, SKIN_STATES, Label
from bsa_vision.measures.history import with_history
from bsa_vision.measures.records import CellEvidence, ChartFacts, VisitEvidence
from bsa_vision.measures.series import measure_series
from bsa_vision.measures.settings import EndpointSettings, MeasureSettings
from bsa_vision.pipeline import REPLICATES, chart_facts
from bsa_vision.report.results import Provenance, SeriesFacts, results_document
from bsa_vision.report.write import day_name, discard_pictures, discard_results, write_report
from bsa_vision.segmentation.card import find_model, read_card
from bsa_vision.segmentation.predict import load_segmenter
from bsa_vision.segmentation.registry import default_model

LOG = logging.getLogger(__name__)

Status = Literal["done", "partial", "skipped", "refused", "failed"]


@dataclass(frozen=True)
class SeriesOutcome:
    """What became of one series.

    Attributes
    ----------
    series, out : the folder scored, and where its results lie.
    status : ``"done"``, ``"partial"`` (some photos were refused), ``"skipped"`` (already scored),
        ``"refused"`` (no photo could be used, the folder cannot be read, or the results of another
        patient are in the way), ``"failed"`` (an error in the software, a full disk or a process
        that was ended).
    reason : in words, or None.
    document : the results, or None.
    """

    series: Path
    out: Path
    status: Status
    reason: str | None
    document: dict[str, Any] | None


@dataclass(frozen=True)
class PlannedSeries:
    """A series that will be scored."""

    series: Series
    body: Body
    out: Path
    digest: str
    jobs: tuple[PhotoJob, ...]


#: Waits for a photo's outcome.
Waiting = Callable[[], PhotoDone]


def score_many(
    series: Sequence[Path],
    out: Path,
    *,
    weighting: Weighting = "lund-browder",
    masks: str = "auto",
    model: str | None = None,
    severity_rule: str = EndpointSettings.severity_rule,
    responder_cut_off: float = EndpointSettings.responder_cut_off,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[SeriesOutcome]:
    """Score series folders; each gets a folder of its name below `out`.

    A bad photo is refused by name and the others are scored; a bad series folder does not stop the
    others, nor does a fault in one; what is already scored with the same photos, model and settings
    is skipped, and the results of another patient are never written over. The results do not depend
    on `workers`.

    Parameters
    ----------
    severity_rule, responder_cut_off : see `EndpointSettings`; percent of the maximum.

    Raises
    ------
    InputError
        Two series have the same folder name, `out` cannot be written or would hold the results in
        a series folder, there is no such rule or cut-off, or the model cannot be loaded or does not
        know the skin labels.
    """
    # A series may be given by its list.
    folders = [path.parent if path.is_file() else path for path in series]
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        reason = f"needed series folders of different names, got {', '.join(names)}."
        raise InputError(reason, "Score one of them with another --out, or rename its folder.")
    refuse_inputs([out / name for name in names], folders)
    make_writable(out)
    measures = measure_settings(severity_rule, responder_cut_off)
    settings = run_settings(weighting, masks, model, measures)
    plans = [
        _planned(path, out / name, settings, overwrite)
        for path, name in zip(series, names, strict=True)
    ]
    jobs = [job for plan in plans if isinstance(plan, PlannedSeries) for job in plan.jobs]
    with started_jobs(jobs, workers) as waiting:
        return [
            plan
            if isinstance(plan, SeriesOutcome)
            else _finished(path, plan, [waiting.popleft() for _ in plan.jobs], settings, progress)
            for path, plan in zip(series, plans, strict=True)
        ]


def run_settings(
    weighting: Weighting, masks: str, model: str | None, measures: MeasureSettings | None = None
) -> RunSettings:
    """The settings of a run, with the digest of the model where one may be needed."""
    measures = measures or MeasureSettings()
    if masks == "given":
        return RunSettings(weighting, masks, None, None, None, measures=measures)
    chosen = model or default_model()
    card = read_card(find_model(chosen))
    if not card.scores_skin:
        reason = f"The model {chosen!r} does not give the skin labels 0 to {N_LABELS - 1}."
        raise InputError(reason, "Score with a model trained on these labels.")
    segmenter = load_segmenter(chosen, threads=1)
    notes = tuple(card.training.get("notes", ()))
    return RunSettings(weighting, masks, chosen, segmenter.name, segmenter.digest, notes, measures)


def plan_series(
    path: Path, out: Path, settings: RunSettings, overwrite: bool
) -> PlannedSeries | SeriesOutcome:
    """Check a series and lay out its jobs, or say why there are none."""
    try:
        series = read_series(path)
    except InputError as error:
        return SeriesOutcome(path, out, "refused", str(error), None)
    other = written_patient(out)
    if other not in (None, series.patient.id):
        reason = (
            f"{out} holds the results of patient {other}, and this is {series.patient.id}: nothing "
            "was written over them. Score this series with another --out."
        )
        return SeriesOutcome(path, out, "refused", reason, None)
    body = solve_body(series.patient)
    if isinstance(body, Refused):
        return SeriesOutcome(path, out, "refused", str(body), None)
    digest = input_digest(series, settings)
    written = None if overwrite else written_document(out, digest)
    if written is not None:
        return SeriesOutcome(path, out, "skipped", None, written)
    jobs = tuple(
        PhotoJob(
            entry=entry,
            day=visit.day,
            patient=series.patient,
            masks=settings.masks,
            model=settings.model,
            place_model=settings.place_model,
            mask_out=out / "masks" / entry.mask_name,
        )
        for visit in series.visits
        for entry in sorted(visit.photos, key=lambda entry: entry.name)
    )
    return PlannedSeries(series, body, out, digest, jobs)


@contextmanager
def started_jobs(jobs: Sequence[PhotoJob], workers: int) -> Iterator[deque[Waiting]]:
    """For each job, in their order, a call that waits for its outcome.

    A call raises when its process was ended; those of finished jobs still give their outcome.
    """
    if workers == 1 or len(jobs) < 2:
        yield deque(partial(run_photo, job) for job in jobs)
        return
    # Spawned, not forked: OpenVINO and OpenCV keep threads that do not survive a fork.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"))
    try:
        yield deque(pool.submit(run_photo, job).result for job in jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def _planned(
    path: Path, out: Path, settings: RunSettings, overwrite: bool
) -> PlannedSeries | SeriesOutcome:
    """`plan_series`, whatever goes wrong in it."""
    try:
        plan = plan_series(path, out, settings, overwrite)
        if isinstance(plan, PlannedSeries):
            # Before a mask is written: results must not lie beside the files of another run.
            discard_results(out)
    except Exception as error:
        LOG.exception("%s", path)
        return _failed(path, out, error)
    return plan


def _finished(
    path: Path,
    plan: PlannedSeries,
    waiting: Sequence[Waiting],
    settings: RunSettings,
    progress: Progress,
) -> SeriesOutcome:
    """Wait for a series' photos and conclude it, whatever goes wrong."""
    try:
        photos = []
        for number, wait in enumerate(waiting, start=1):
            photos.append(wait())
            progress(ProgressEvent(plan.out.name, "photos", number, len(waiting)))
        return _concluded(path, plan, photos, settings)
    except Exception as error:
        LOG.exception("%s", path)
        return _failed(path, plan.out, error)


def _failed(path: Path, out: Path, error: Exception) -> SeriesOutcome:
    cause = error.strerror if isinstance(error, OSError) else None
    fault = type(error).__name__ + (f" ({cause})" if cause else "")
    reason = f"an error in the software or the machine: {fault}; the other series are scored."
    return SeriesOutcome(path, out, "failed", reason, None)


def _concluded(
    path: Path, plan: PlannedSeries, photos: Sequence[PhotoDone], settings: RunSettings
) -> SeriesOutcome:
    """Fuse, measure and write one series."""
    photos = refuse_duplicates(photos)
    used = [photo for photo in photos if photo.result.evidence is not None]
    visits = with_history(
        [fuse_visit(visit.day, photos) for visit in plan.series.visits],
        settings.measures.history,
    )
    chart = chart_facts(plan.body, settings.weighting)
    measures = measure_series(visits, chart, settings.measures, plan.series.death_day)
    document = results_document(
        SeriesFacts(plan.series.study, plan.series.patient, settings.weighting),
        measures,
        [photo_facts(photo) for photo in photos],
        {visit.day: _to_take(visit, used, chart) for visit in visits},
        _provenance(settings, photos, plan.digest),
    )
    charts = {
        visit.day: chart_png(_chart_labels(visit.evidence), day_name(visit.day)) for visit in visits
    }
    by_day = {visit.day: visit for visit in visits}
    photos = [in_agreement(photo, by_day[photo.job.day]) for photo in photos]
    thumbnails = {
        photo.job.entry.name: photo.thumbnail for photo in photos if photo.thumbnail is not None
    }
    masks = {photo.job.mask_out for photo in photos if photo.result.mask_source is not None}
    discard_pictures(plan.out / "masks", masks)
    write_report(plan.out, document, charts, thumbnails)
    return SeriesOutcome(path, plan.out, *_verdict(photos, used), document)


def _to_take(
    visit: VisitEvidence, used: Sequence[PhotoDone], chart: ChartFacts
) -> tuple[PhotoToTake, ...]:
    """Photos that would show skin which none of the visit shows, not even beneath a dressing."""
    unseen = (visit.evidence.weight == 0) & ~visit.evidence.hidden
    taken = {photo.job.entry.view for photo in used if photo.job.day == visit.day}
    return photos_to_take(unseen, chart.weights, taken)


def _provenance(settings: RunSettings, photos: Sequence[PhotoDone], digest: str) -> Provenance:
    """What made the numbers; the model only where it drew a mask."""
    drew = any(photo.result.mask_source == "model" for photo in photos)
    return Provenance(
        software=f"bsa-vision {__version__}",
        model_name=settings.model_name if drew else None,
        model_digest=settings.model_digest if drew else None,
        chart_version=CHART_VERSION,
        settings={**settings.document(), "input_digest": digest},
        model_notes=settings.model_notes if drew else (),
    )


def _verdict(photos: Sequence[PhotoDone], used: Sequence[PhotoDone]) -> tuple[Status, str | None]:
    if not used:
        return "refused", f"none of the {len(photos)} photos could be used; see the report."
    if len(used) < len(photos):
        return "partial", f"{len(photos) - len(used)} of {len(photos)} photos were not used."
    return "done", None


def refuse_duplicates(photos: Sequence[PhotoDone]) -> list[PhotoDone]:
    """The photos in order of name; of one that a visit lists twice as a view, the first stays.

    The names decide which one is used: two entries of one photo may have different landmarks.
    """
    first: dict[tuple[int, str, str], str] = {}
    found = []
    for photo in sorted(photos, key=lambda photo: photo.job.entry.name):
        result, entry = photo.result, photo.job.entry
        if result.photo is None or result.evidence is None:
            found.append(photo)
            continue
        used = first.setdefault((photo.job.day, result.photo.digest, entry.view), entry.name)
        if used != entry.name:
            refused = Refused(
                "photo_duplicate",
                f"{entry.name}: needed each photo once, got the same one as {used}.",
                "List the photo that was meant, or remove this entry from series.json.",
            )
            result = replace(result, evidence=None, refused=refused)
        found.append(replace(photo, result=result))
    return found


def fuse_visit(day: int, photos: Sequence[PhotoDone]) -> VisitEvidence:
    """Fuse a visit's photos, after `refuse_duplicates`.

    They go in order of digest: the order of listing cannot change a byte.
    """
    by_digest = {
        photo.result.photo.digest + photo.job.entry.view: photo
        for photo in photos
        if photo.job.day == day and photo.result.photo and photo.result.evidence
    }
    chosen = [by_digest[key] for key in sorted(by_digest)]
    evidence = [photo.result.evidence for photo in chosen if photo.result.evidence]
    return VisitEvidence(day, fuse(evidence, len(load_cells()), REPLICATES))


def _chart_labels(evidence: CellEvidence) -> NDArray[np.uint8]:
    """Label code per cell for the drawing."""
    states = np.array([int(state) for state in SKIN_STATES], np.uint8)
    labels: NDArray[np.uint8] = states[evidence.probabilities.argmax(axis=1)]
    labels[evidence.weight == 0] = NOT_ASSESSED
    labels[evidence.hidden] = int(Label.NOT_ASSESSABLE)
    return labels
