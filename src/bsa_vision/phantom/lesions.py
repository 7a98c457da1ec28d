"""Skin lesions as functions of place on the resting body and of time.

Every quantity is a function of a point on the body at rest (metres) and of the day, so a pixel of
a photo and a sample of the surface ask the same question and get the same answer; there are no
texture seams. A severity field, ranked over the whole skin, says where the epidermis will die and
in which order; further fields give when a point becomes detachable, when it detaches and when it
is covered again, from the edges of a lesion and from surviving follicles inwards. Erythema comes
before, lies around and fades. Days are counted from D0.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.core.frames import FloatArray
from bsa_vision.core.labels import SKIN_STATES, Label
from bsa_vision.phantom.noise import Float32, Noise, smoothstep

#: Inclination of a body part to be affected, by stem of the bone name: trunk and face first.
_INCLINATION = {
    "head": 0.15,
    "neck": 0.45,
    "spine": 0.6,
    "clavicle": 0.6,
    "shoulder": 0.5,
    "pelvis": 0.2,
    "root": 0.3,
    "upperarm": 0.3,
    "lowerarm": 0.05,
    "upperleg": 0.15,
    "lowerleg": -0.25,
    "wrist": -0.3,
    "foot": -0.5,
}
_DISTAL = -0.35
#: Erythema counts as such from this intensity on.
ERYTHEMA_FROM = 0.35
_NEVER = 1e6


@dataclass(frozen=True)
class Surface:
    """Points on the skin of a resting body, each standing for some of its area.

    Attributes
    ----------
    face : (N,) face index; barycentric : (N, 3).
    position : (N, 3) metres, float32.
    inclination : (N,) how ready the body part is to be affected.
    area : (N,) m2; they sum to the area of the skin without cavities.
    """

    face: NDArray[np.int32]
    barycentric: Float32
    position: Float32
    inclination: Float32
    area: Float32


@dataclass(frozen=True)
class LesionState:
    """What the skin is like at N points on one day.

    Attributes
    ----------
    label : (N,) uint8 of the skin states.
    erythema : (N,) 0..1, also under and around other states.
    since : (N,) days since the present state began (0 for unaffected skin).
    depth : (N,) 0 at the border of what will ever be affected, 1 at the worst place; < 0 outside.
    coarse, fine, blobs : (N, 4) the noise fields, reused for the looks.
    """

    label: NDArray[np.uint8]
    erythema: Float32
    since: Float32
    depth: Float32
    coarse: Float32
    fine: Float32
    blobs: Float32


@lru_cache(maxsize=1)
def vertex_inclination() -> Float32:
    """Inclination per vertex (13718,), blended like the skinning so that it has no steps."""
    model = BodyModel.load()
    by_bone = np.array(
        [
            next((w for stem, w in _INCLINATION.items() if label.startswith(stem)), _DISTAL)
            for label in model.bone_labels
        ]
    )
    blended = (model.skin_weights * by_bone[model.skin_bones]).sum(axis=1)
    return np.asarray(blended, np.float32)


def sample_surface(vertices: FloatArray, cell_cm2: float = 0.25) -> Surface:
    """Points spread evenly over the skin: each face is cut into k x k equal triangles.

    Parameters
    ----------
    vertices : (13718, 3) resting body, metres.
    cell_cm2 : largest area one point stands for.
    """
    model = BodyModel.load()
    faces = np.flatnonzero(model.skin_faces).astype(np.int32)
    corners = vertices[model.faces[faces]]
    area = (
        np.linalg.norm(
            np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
        )
        / 2
    )
    cuts = np.ceil(np.sqrt(area * 1e4 / cell_cm2)).astype(int)
    all_faces, all_bary, all_area = [], [], []
    for k in np.unique(cuts):
        chosen = cuts == k
        bary = _centroids(int(k))
        all_faces.append(np.repeat(faces[chosen], k * k))
        all_bary.append(np.tile(bary, (int(chosen.sum()), 1)))
        all_area.append(np.repeat(area[chosen] / k**2, k * k))
    face, bary = np.concatenate(all_faces), np.concatenate(all_bary).astype(np.float32)
    index = model.faces[face]
    return Surface(
        face=face,
        barycentric=bary,
        position=np.einsum("nk,nkc->nc", bary, vertices.astype(np.float32)[index]),
        inclination=np.einsum("nk,nk->n", bary, vertex_inclination()[index]),
        area=np.concatenate(all_area).astype(np.float32),
    )


def _centroids(k: int) -> FloatArray:
    """Barycentric centroids (k * k, 3) of a triangle cut into k * k equal ones."""
    up = [(i + 1 / 3, j + 1 / 3) for i in range(k) for j in range(k - i)]
    down = [(i + 2 / 3, j + 2 / 3) for i in range(k - 1) for j in range(k - 1 - i)]
    ab = np.array(up + down) / k
    return np.column_stack([1 - ab.sum(axis=1), ab])


@dataclass(frozen=True)
class LesionCourse:
    """How one patient's skin fares; made by `random_course`.

    Attributes
    ----------
    noises : placements of the coarse, fine, blob and regional fields.
    max_fraction : share of the skin that is ever detachable.
    onset_day, spread_days : when the worst place becomes detachable, and how much later the border.
    detach_days : typical time from detachable to detached.
    heal_min_days, heal_span_days : covering time at the border, and what the centre takes longer.
    never_share : share of the affected skin that does not heal.
    raggedness : weight of the fine field in the severity.
    coarse_m, fine_m, blob_m : wavelengths in metres.
    macules : 0..1 amount of spots outside the lesions; fade_day : when erythema is half gone.
    severity_knots, rank_knots : the severity field's distribution over the skin.
    never_above : threshold of the field that picks what does not heal.
    """

    noises: tuple[Noise, Noise, Noise, Noise]
    max_fraction: float
    onset_day: float
    spread_days: float
    detach_days: float
    heal_min_days: float
    heal_span_days: float
    never_share: float
    raggedness: float
    coarse_m: float
    fine_m: float
    blob_m: float
    macules: float
    fade_day: float
    severity_knots: Float32
    rank_knots: Float32
    never_above: float

    def state(self, position: Float32, inclination: Float32, day: float) -> LesionState:
        """The skin at points on one day.

        Parameters
        ----------
        position : (N, 3) on the resting body, metres.
        inclination : (N,) interpolated `vertex_inclination`.
        day : from D0.
        """
        coarse = self.noises[0].sample(position, self.coarse_m)
        fine = self.noises[1].sample(position, self.fine_m)
        blobs = self.noises[2].sample(position, self.blob_m, "blobs")
        severity = self.severity(position, inclination, coarse, fine)
        rank = np.interp(severity, self.severity_knots, self.rank_knots).astype(np.float32)
        rim = 1 - self.max_fraction
        depth = (rank - rim) / max(self.max_fraction, 1e-3)
        onset, detach, heal = self._times(depth, coarse, fine, blobs)
        affected = (depth > 0) & (day >= onset)
        label = np.full(len(position), int(Label.UNAFFECTED), np.uint8)
        erythema = self._erythema(rank - rim, day, onset, affected, fine, blobs)
        label[erythema > ERYTHEMA_FROM] = Label.ERYTHEMA
        label[affected] = Label.DETACHABLE
        label[affected & (day >= detach)] = Label.DETACHED
        label[affected & (day >= heal)] = Label.REEPITHELIALISED
        since = np.where(
            label == Label.REEPITHELIALISED,
            day - heal,
            np.where(label == Label.DETACHED, day - detach, day - onset),
        )
        return LesionState(
            label=label,
            erythema=erythema,
            since=np.where(affected, since, 0).astype(np.float32),
            depth=depth,
            coarse=coarse,
            fine=fine,
            blobs=blobs,
        )

    def severity(
        self, position: Float32, inclination: Float32, coarse: Float32, fine: Float32
    ) -> Float32:
        """How badly each of N points would be hit, on no particular scale; see `state`."""
        regional = self.noises[3].sample(position, 1.1)[:, 0]
        severity: Float32 = (
            inclination
            + np.float32(0.45) * regional
            + np.float32(0.55) * coarse[:, 0]
            + np.float32(self.raggedness) * fine[:, 0]
        )
        return severity

    def _times(
        self, depth: Float32, coarse: Float32, fine: Float32, blobs: Float32
    ) -> tuple[Float32, Float32, Float32]:
        """Days on which a point becomes detachable, detached and covered, each (N,)."""
        shallow = np.clip(1 - depth, 0, 1)
        onset = self.onset_day + self.spread_days * shallow + 0.5 * coarse[:, 1]
        wait = np.exp(0.35 * coarse[:, 2] + 0.3 * fine[:, 1])
        detach = onset + self.detach_days * wait
        inward = np.sqrt(np.clip(depth, 0, 1))
        days = self.heal_min_days + self.heal_span_days * inward
        days = days * np.exp(0.22 * coarse[:, 3] + 0.16 * fine[:, 2])
        days = days - 3.0 * smoothstep(1.5, 1.9, blobs[:, 0])
        heal = detach + np.maximum(days, 1.0)
        never = coarse[:, 2] - coarse[:, 3] + 0.25 * fine[:, 3] > self.never_above
        return onset, detach, np.where(never, np.float32(_NEVER), heal)

    def _erythema(
        self,
        beyond: Float32,
        day: float,
        onset: Float32,
        affected: NDArray[np.bool_],
        fine: Float32,
        blobs: Float32,
    ) -> Float32:
        """Redness 0..1 of each point (N,), from a halo, spots and what is about to detach."""
        ragged = beyond + 0.035 * fine[:, 3] + 0.02 * blobs[:, 2]
        halo = smoothstep(-0.16, -0.03, ragged)
        spots = smoothstep(
            1.55 - 1.1 * self.macules, 2.3 - 1.1 * self.macules, blobs[:, 1] + 0.5 * fine[:, 3]
        )
        spots = spots * smoothstep(-0.75, -0.2, beyond) * np.float32(0.5 + 0.5 * self.macules)
        red = np.maximum(halo, spots)
        rise = np.clip((day + 3.5 - self.onset_day) / 2, 0, 1)
        fade = 1 / (1 + np.exp(min((day - self.fade_day) / 1.6, 50.0)))
        red = red * np.float32(rise * fade)
        before = smoothstep(-2.2, -0.2, (day - onset).astype(np.float32))
        coming = np.where((beyond > 0) & ~affected, before * (0.75 + 0.2 * fine[:, 2]), 0)
        merged: Float32 = np.clip(np.maximum(red, coming), 0, 1).astype(np.float32)
        return merged


def random_course(rng: np.random.Generator, surface: Surface, max_fraction: float) -> LesionCourse:
    """A course drawn at random for a body.

    Parameters
    ----------
    rng : source of chance.
    surface : the body's skin, see `sample_surface`.
    max_fraction : share of the skin to be ever affected, 0..1.
    """
    noises = tuple(Noise.from_rng(rng) for _ in range(4))
    values: dict[str, Any] = {
        "noises": noises,
        "max_fraction": max_fraction,
        "onset_day": float(rng.uniform(-5.0, -1.5)),
        "spread_days": float(rng.uniform(2.0, 6.5)),
        "detach_days": float(np.exp(rng.uniform(np.log(0.8), np.log(5.0)))),
        "heal_min_days": float(rng.uniform(2.5, 5.0)),
        "heal_span_days": float(rng.uniform(3.0, 9.0)),
        "never_share": float(rng.uniform(0.0, 0.12)),
        "raggedness": float(rng.uniform(0.1, 0.4)),
        "coarse_m": float(rng.uniform(0.16, 0.5)),
        "fine_m": float(rng.uniform(0.035, 0.09)),
        "blob_m": float(rng.uniform(0.012, 0.03)),
        "macules": float(rng.uniform(0.0, 1.0)),
        "fade_day": float(rng.uniform(6.0, 15.0)),
    }
    if max_fraction == 0 and rng.random() < 0.65:
        values["fade_day"] = -1e3  # healthy throughout; otherwise a rash that never blisters
    blank = np.array([0, 1], np.float32)
    draft = LesionCourse(severity_knots=blank, rank_knots=blank, never_above=np.inf, **values)
    coarse = noises[0].sample(surface.position, draft.coarse_m)
    fine = noises[1].sample(surface.position, draft.fine_m)
    severity = draft.severity(surface.position, surface.inclination, coarse, fine)
    order = np.argsort(severity)
    share = np.cumsum(surface.area[order], dtype=np.float64)
    share /= share[-1]
    probe = np.linspace(0, 1, 513)
    knots = np.interp(probe, share, severity[order])
    worst = severity > np.interp(1 - max_fraction, share, severity[order])
    field = (coarse[:, 2] - coarse[:, 3] + 0.25 * fine[:, 3])[worst]
    never = np.inf
    if field.size:
        order = np.argsort(field)
        share = np.cumsum(surface.area[worst][order], dtype=np.float64)
        never = float(np.interp((1 - draft.never_share) * share[-1], share, field[order]))
    return LesionCourse(
        severity_knots=knots.astype(np.float32),
        rank_knots=probe.astype(np.float32),
        never_above=never,
        **values,
    )


def percent_by_state(label: NDArray[np.uint8], area: Float32) -> dict[Label, float]:
    """Percent of the skin's area in each skin state and under dressings."""
    weight = np.bincount(label, weights=area.astype(np.float64), minlength=len(Label))
    codes = (*SKIN_STATES, Label.NOT_ASSESSABLE)
    return {code: float(weight[code] / area.sum(dtype=np.float64) * 100) for code in codes}
