"""Whether a patient's lesions can be told by eye at all.

What no reader could see in a photo is no lesson: drawn under two labels, it teaches a network to
guess, and a reader to be scored against chance. So looks are drawn until the states that could be
mistaken for others stand out from them, in light skin as in dark, and until healed skin is pinker
than the patient's own. Differences are CIE 1976 of median colours in even light.
"""

from dataclasses import replace
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.srgb import linear_to_lab
from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.core.labels import Label
from bsa_vision.phantom.lesion_looks import Borders, LesionLook, paint_skin, random_lesion_look
from bsa_vision.phantom.lesions import LesionCourse, Surface
from bsa_vision.phantom.skin import SkinLook, skin_albedo

#: (state, days since it began, redness) of the skin that is compared.
_HEALTHY = (Label.UNAFFECTED, 0.0, 0.0)
_RED = (Label.ERYTHEMA, 0.0, 0.8)
_DETACHABLE = (Label.DETACHABLE, 1.5, 0.8)
_DETACHED = (Label.DETACHED, 2.0, 0.8)
_HEALED = (Label.REEPITHELIALISED, 8.0, 0.0)
#: Least colour difference of pairs of them: twice to four times what is just seen side by side.
LEAST_DIFFERENCE = {
    (_HEALED, _HEALTHY): 5.0,
    (_DETACHABLE, _HEALTHY): 12.0,
    (_DETACHABLE, _RED): 10.0,
    (_DETACHED, _RED): 12.0,
}
#: How much redder (CIELAB a*) healed skin is at least than the patient's own.
LEAST_PINK = 2.5
#: Draws after which the best so far is taken.
DRAWS = 40
_POINTS = 160
#: Pixel size at which the colours are taken: that of a photo of a whole body.
_MM_PER_PX = 2.7


def legible_lesion_look(
    rng: np.random.Generator,
    surface: Surface,
    course: LesionCourse,
    skin: SkinLook,
    least_margin: float = 1.0,
) -> LesionLook:
    """The first of up to `DRAWS` looks drawn at random that is legible on this skin, or the best.

    Parameters
    ----------
    rng : source of chance.
    surface, course, skin : of the patient.
    least_margin : the `margin` from which a look is legible.
    """
    best = random_lesion_look(rng)
    best_margin = margin(best, surface, course, skin)
    for _ in range(DRAWS - 1):
        if best_margin >= least_margin:
            break
        candidate = random_lesion_look(rng)
        found = margin(candidate, surface, course, skin)
        if found > best_margin:
            best, best_margin = candidate, found
    return best


def margin(look: LesionLook, surface: Surface, course: LesionCourse, skin: SkinLook) -> float:
    """The least ratio of a difference to the least that is wanted; legible from 1."""
    colours = _median_colours(look, surface, course, skin)
    differences = [
        float(np.linalg.norm(colours[one] - colours[other])) / least
        for (one, other), least in LEAST_DIFFERENCE.items()
    ]
    pink = float(colours[_HEALED][1] - colours[_HEALTHY][1]) / LEAST_PINK
    return min(*differences, pink)


def _median_colours(
    look: LesionLook, surface: Surface, course: LesionCourse, skin: SkinLook
) -> dict[tuple[Label, float, float], NDArray[np.float64]]:
    """Median CIELAB (3,) of each kind of skin that is compared, over points spread evenly."""
    picked = np.linspace(0, len(surface.position) - 1, _POINTS).astype(int)
    position, inclination = surface.position[picked], surface.inclination[picked]
    model = BodyModel.load()
    corners = model.uv[model.face_uv[surface.face[picked]]]
    uv = np.einsum("nk,nkc->nc", surface.barycentric[picked], corners)
    healthy = skin_albedo(skin, position, uv, inclination, _MM_PER_PX)
    drawn = course.state(position, inclination, 0.0)
    far = np.full(_POINTS, 0.05, np.float32)
    borders = Borders(far, far, far, far)

    def colour(label: Label, since: float, redness: float) -> NDArray[np.float64]:
        state = replace(
            drawn,
            label=np.full(_POINTS, int(label), np.uint8),
            erythema=np.full(_POINTS, redness, np.float32),
            since=np.full(_POINTS, since, np.float32),
        )
        paint = paint_skin(look, state, healthy, position, borders, _MM_PER_PX)
        return np.asarray(np.median(linear_to_lab(paint.albedo), axis=0))

    kinds = (_HEALTHY, _RED, _DETACHABLE, _DETACHED, _HEALED)
    return dict(zip(kinds, starmap(colour, kinds), strict=True))
