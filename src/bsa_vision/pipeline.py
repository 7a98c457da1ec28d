"""One photo through the chain: calibration, segmentation, placement, evidence. No I/O of its own.

The photos of a visit are independent until they are fused, so this is the unit that workers share.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.calibration.records import CalibratedPhoto, ColourFit, ScaleFit
from bsa_vision.calibration.sheets import SHEETS
from bsa_vision.chart.body import Body
from bsa_vision.chart.cell_map import knowing_the_body
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.gather import (
    MIN_ON_BODY,
    PhotoEvidence,
    SeenCells,
    expected_error_mm,
    gather,
    see_cells,
    share_on_body,
)
from bsa_vision.chart.outline import Mask, body_mask
from bsa_vision.chart.pose_fit import SCALE_LOG_SD
from bsa_vision.chart.regions import REGION_NAMES, Weighting, cell_weights
from bsa_vision.chart.register import MIN_LANDMARKS, Placement, register
from bsa_vision.chart.sightings import Sightings, found
from bsa_vision.core.errors import Refused
from bsa_vision.dense.api import PlaceFinder, contradicting_view
from bsa_vision.measures.records import ChartFacts
from bsa_vision.photo.records import Photo
from bsa_vision.segmentation.api import Segmenter, sharpened
from bsa_vision.segmentation.padding import network_size

#: Long side of what is decoded: enough for 40 mm markers across a whole body, and for 12-megapixel
#: photos a third of the work.
DECODE_SIDE = 2000
#: Long side on which pictures are made and masks are found; the network's own size.
WORK_SIDE = 1024
#: Perturbed placements gathered per photo for the intervals.
REPLICATES = 8
#: Where the sheet's tilt is not known, its scale keeps it in: 1.4 times too large at 60 degrees.
UNKNOWN_TILT_LOG_SD = 0.25
_QUALITY_TRUST = {"good": 1.0, "usable": 0.7, "poor": 0.4}

Landmarks = Mapping[str, tuple[float, float]]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class PhotoResult:
    """What the chain found in one photo.

    Attributes
    ----------
    photo : the record of the decoded photo, without its pixels' further use, or None if unreadable.
    calibration : scale, colour and quality, or None if unreadable.
    work : (h, w, 3) colour-corrected working picture, or None.
    labels : (h, w) mask codes at working or given size, or None.
    mask_source : ``"given"``, ``"model"`` or None.
    placement_rms : residual of the trusted landmarks in pixels and millimetres, or None.
    distrusted : landmarks that did not fit the others.
    placed_by : ``"landmarks"``, ``"photo"`` where a network found the body in it, or None.
    placement_error_mm : median distance to be expected between skin and where it was placed.
    evidence : what the photo says of the cells, or None.
    refused : why it says nothing, or None.
    placement_cost : negative log posterior of the placement, up to a constant: which of several
        bodies the photo fits best (`scripts/benchmark_places.py`); never part of a result.
    seconds : wall time by stage, for `scripts/benchmark_speed.py`; never part of a result.
    """

    photo: Photo | None
    calibration: CalibratedPhoto | None = None
    work: NDArray[np.uint8] | None = None
    labels: Labels | None = None
    mask_source: str | None = None
    placement_rms: tuple[float, float] | None = None
    distrusted: tuple[str, ...] = ()
    placed_by: Literal["landmarks", "photo"] | None = None
    placement_error_mm: float | None = None
    evidence: PhotoEvidence | None = None
    refused: Refused | None = None
    placement_cost: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PhotoRequest:
    """One photo as listed, with what is known of it.

    Attributes
    ----------
    view : one of the twenty views.
    landmarks : points, none where nobody marked any, or why they cannot be used.
    mask : (H, W) codes drawn by a person for the full-size photo, or why there is none, or None.
    """

    view: str
    landmarks: Landmarks | Refused
    mask: Labels | Refused | None = None

    @property
    def places_itself(self) -> bool:
        """Whether the landmarks are too few; what a person marked and cannot be read is no gap."""
        marked = self.landmarks
        return not isinstance(marked, Refused) and len(marked) < MIN_LANDMARKS


def assess_photo(
    photo: Photo,
    request: PhotoRequest,
    body: Body,
    segmenter: Segmenter | None,
    finder: PlaceFinder | None = None,
) -> PhotoResult:
    """Calibrate, segment, place and gather one photo.

    A refusal at any stage keeps what came before. A network's mask of a placed photo knows where
    the body is (`knowing_the_body`).

    Parameters
    ----------
    photo : decoded with a long side of at most `DECODE_SIDE`.
    segmenter : used when no mask is given; may be None when one is.
    finder : places photos with fewer than `MIN_LANDMARKS` landmarks; None to refuse them.
    """
    clock = _Clock()
    calibrated = calibrate(photo)
    clock.lap("calibrate")
    work = working_picture(photo, calibrated)
    clock.lap("prepare")
    labels, probabilities, source = _masked(request, work, segmenter)
    clock.lap("segment")
    result = PhotoResult(
        photo,
        calibrated,
        work,
        labels,
        source,
        # A drawn mask that cannot be used is never silently replaced by the network's.
        refused=request.mask if isinstance(request.mask, Refused) else calibrated.quality.refused,
        seconds=clock.laps,
    )
    if labels is None or result.refused is not None:
        return result
    others = _found(photo, work, labels, request, finder)
    clock.lap("find")
    placement = _placed(photo, calibrated, request, body, others)
    clock.lap("register")
    if isinstance(placement, Refused):
        return replace(result, refused=placement)
    seed = int(photo.digest[:16], 16)
    seen = see_cells(placement, load_cells(), REPLICATES, np.random.default_rng(seed))
    beside = _beside_body(request, seen, labels, photo) if others is not None else None
    if beside is not None:
        return replace(result, refused=beside)
    trust = _QUALITY_TRUST[calibrated.quality.verdict]
    if probabilities is not None and segmenter is not None:
        probabilities = knowing_the_body(probabilities, seen, photo.full_size)
        labels = np.asarray(probabilities.argmax(axis=2), np.uint8)
        probabilities = sharpened(probabilities, segmenter.area_power)
    evidence = gather(seen, labels, probabilities, photo.full_size, trust)
    clock.lap("gather")
    placed = replace(
        result,
        placement_rms=placement.landmark_rms,
        placed_by="landmarks" if others is None else "photo",
        placement_error_mm=expected_error_mm(seen),
        placement_cost=placement.fit.cost,
        distrusted=placement.distrusted,
    )
    if isinstance(evidence, Refused):
        return replace(placed, refused=evidence)
    return replace(placed, labels=labels, evidence=evidence)


def chart_facts(body: Body, weighting: Weighting) -> ChartFacts:
    """What the measures need to know of a patient's chart."""
    cells = load_cells()
    return ChartFacts.from_cells(
        weights=cell_weights(body, weighting),
        areas_cm2=body.cell_areas_cm2,
        region=cells.region,
        side=cells.side,
        region_names=REGION_NAMES,
        edges=cells.neighbours,
    )


class _Clock:
    """Wall time between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def working_picture(photo: Photo, calibrated: CalibratedPhoto) -> NDArray[np.uint8]:
    """The photo at working size, its colours corrected where a card was found."""
    height, width = photo.pixels.shape[:2]
    size = network_size((width, height), min(WORK_SIDE, max(height, width)))
    small = photo.pixels
    if size != (width, height):
        small = np.asarray(cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    colour = calibrated.colour
    return colour.apply(small) if isinstance(colour, ColourFit) else small


def _masked(
    request: PhotoRequest,
    work: NDArray[np.uint8],
    segmenter: Segmenter | None,
) -> tuple[Labels | None, NDArray[np.uint8] | None, str | None]:
    """Labels, class probabilities (None for a drawn mask) and their source."""
    if isinstance(request.mask, np.ndarray):
        return request.mask, None, "given"
    if segmenter is None:
        return None, None, None
    found = segmenter.segment(work)
    return found.labels, found.probabilities, "model"


def _found(
    photo: Photo,
    work: NDArray[np.uint8],
    labels: Labels,
    request: PhotoRequest,
    finder: PlaceFinder | None,
) -> tuple[Sightings, Mask] | Refused | None:
    """Points a network finds, and the body's outline; None if landmarks suffice or none looks."""
    if finder is None or not request.places_itself:
        return None
    places = finder.find(work, request.view)
    instead = contradicting_view(places.views, request.view)
    if instead is not None:
        return Refused(
            "view_contradicts",
            f"Stated as {request.view}, the photo looks like {instead[0]} ({instead[1]:.0%}).",
            "Correct the view of the photo, or mark at least 4 landmarks if it is right.",
        )
    sightings = found(places, photo.full_size)
    return sightings if isinstance(sightings, Refused) else (sightings, body_mask(labels, places))


def _placed(
    photo: Photo,
    calibrated: CalibratedPhoto,
    request: PhotoRequest,
    body: Body,
    others: tuple[Sightings, Mask] | Refused | None,
) -> Placement | Refused:
    if isinstance(others, Refused):
        return others
    if isinstance(request.landmarks, Refused):
        # What a person marked and cannot be read is never silently replaced.
        return request.landmarks
    mm_per_px, log_sd = _scale_of_depth(calibrated.scale, photo.full_size)
    sightings, mask = others or (None, None)
    return register(
        body.rest,
        request.landmarks,
        photo.full_size,
        view=request.view,
        focal_px=photo.focal_px,
        mm_per_px=mm_per_px,
        mm_per_px_log_sd=log_sd,
        others=sightings,
        mask=mask,
    )


def _beside_body(
    request: PhotoRequest, seen: SeenCells, labels: Labels, photo: Photo
) -> Refused | None:
    """Why a photo that placed itself is not used: most of what it placed is no skin in its mask."""
    share = share_on_body(seen, labels, photo.full_size)
    if share >= MIN_ON_BODY:
        return None
    return Refused(
        "placement_contradicts",
        f"{request.view}: of the skin as placed only {share:.0%} lies on the body in the mask, "
        f"need {MIN_ON_BODY:.0%}.",
        "Check the view and the patient's height and weight, or mark at least 4 landmarks.",
    )


def _scale_of_depth(
    scale: ScaleFit | Refused, full_size: tuple[int, int]
) -> tuple[float | None, float]:
    """Depth over focal length at the sheet (mm per px), or None; standard deviation of its log.

    Flat paper at depth z is seen on f^2 cos(tilt) / (z^2 cos(off)) of its area, where `off` is the
    angle between the line of sight and the camera's axis; `mm_per_px` is the root of the inverse.
    """
    if isinstance(scale, Refused):
        return None, SCALE_LOG_SD
    if scale.tilt_deg is None:
        return float(scale.mm_per_px), UNKNOWN_TILT_LOG_SD
    centre = scale.homography @ np.array([*SHEETS[scale.sheet].centre_mm, 1.0])
    off_axis = centre[:2] / centre[2] - (np.array(full_size) - 1) / 2
    cos_off = scale.focal_px / float(np.hypot(scale.focal_px, np.linalg.norm(off_axis)))
    foreshortening = float(np.cos(np.radians(scale.tilt_deg))) / cos_off
    return float(scale.mm_per_px) * float(np.sqrt(foreshortening)), SCALE_LOG_SD
