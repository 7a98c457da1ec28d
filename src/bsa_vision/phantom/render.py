"""A scene turned into a photo and its label mask, both from the same rays."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.places import places_on_faces
from bsa_vision.core.frames import Camera
from bsa_vision.core.labels import Label
from bsa_vision.phantom.dressings import cover, covered
from bsa_vision.phantom.lesion_looks import Borders, paint_skin
from bsa_vision.phantom.lesions import vertex_inclination
from bsa_vision.phantom.lighting import Surfaces, perturbed_normals, shade
from bsa_vision.phantom.noise import Float32
from bsa_vision.phantom.raycast import Caster, Hits, Mesh, pixel_rays, vertex_normals
from bsa_vision.phantom.scene import Scene, Tube
from bsa_vision.phantom.sheet_texture import SHEET_MM, sheet_albedo
from bsa_vision.phantom.skin import skin_albedo, srgb_to_linear
from bsa_vision.phantom.surroundings import Prop, plane_surface
from bsa_vision.phantom.views import scaled_camera

_PLANE, _SKIN, _CAVITY, _SHEET, _PROP = range(5)
_FAR = 30.0
_STEP = 2
#: Pixels of a sheet that are enough for the light on it.
_SHEET_PIXELS = 500


@dataclass(frozen=True)
class Rendering:
    """Light and truth of a photo.

    Attributes
    ----------
    light : (H, W, 3) linear float32, before the camera's effects.
    mask : (H, W) uint8 label codes.
    body : (H, W) bool, skin or cavity of the patient.
    sheet : (H, W) bool.
    sheet_light : (3,) light on the sheet where at least `_SHEET_PIXELS` of it are seen, else None.
    """

    light: Float32
    mask: NDArray[np.uint8]
    body: NDArray[np.bool_]
    sheet: NDArray[np.bool_]
    sheet_light: Float32 | None


class _Pixels:
    """What is known of each pixel while a photo is being rendered."""

    def __init__(self, count: int) -> None:
        self.distance = np.full(count, _FAR, np.float32)
        self.group = np.full(count, _PLANE, np.int32)
        self.normal = np.zeros((count, 3), np.float32)
        self.albedo = np.zeros((count, 3), np.float32)
        self.gloss = np.zeros(count, np.float32)
        self.roughness = np.full(count, 0.6, np.float32)
        self.height = np.zeros(count, np.float32)
        self.label = np.zeros(count, np.uint8)


def render(scene: Scene, supersample: float = 1.0) -> Rendering:
    """Render a scene.

    Parameters
    ----------
    scene : what is to be seen; its camera gives the size.
    supersample : rendered larger by this factor and averaged down; the mask is taken at the
        centres of the final pixels' nearest samples.
    """
    width, height = scene.camera.size
    size = (round(width * supersample), round(height * supersample))
    camera = scaled_camera(scene.camera, size[0] / width, size)
    caster = _caster(scene)
    rays = pixel_rays(camera)
    eye = camera.centre().astype(np.float32)
    hits, pixels = _first_surfaces(scene, caster, rays, eye)
    position = eye + rays * pixels.distance[:, None]
    _paint_planes(scene, rays, eye, position, pixels, camera)
    _paint_body(scene, hits, pixels, camera)
    _paint_props(scene, hits, position, pixels)
    pixels.normal = perturbed_normals(position, pixels.normal, pixels.height, pixels.group, size)
    _draw_tubes(scene.tubes, pixels, size, _mm_per_px(pixels, camera))
    surfaces = Surfaces(
        position=position,
        normal=pixels.normal,
        albedo=pixels.albedo,
        gloss=pixels.gloss,
        roughness=pixels.roughness,
        translucent=(pixels.group == _SKIN) & (pixels.label != Label.NOT_ASSESSABLE),
        group=pixels.group,
    )
    rng = np.random.default_rng([scene.seed, 4])
    light = shade(surfaces, rays, scene.lighting, caster, size, rng).reshape(size[1], size[0], 3)
    sheet_light = _sheet_light(light, pixels)
    mask = pixels.label.reshape(size[1], size[0])
    group = pixels.group.reshape(size[1], size[0]).astype(np.uint8)
    if size != (width, height):
        light = np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA))
        nearest = cv2.INTER_NEAREST_EXACT
        mask = np.asarray(cv2.resize(mask, (width, height), interpolation=nearest), np.uint8)
        group = np.asarray(cv2.resize(group, (width, height), interpolation=nearest), np.uint8)
    return Rendering(
        light=np.maximum(light, 0),
        mask=np.asarray(mask, np.uint8),
        body=np.asarray((group == _SKIN) | (group == _CAVITY)),
        sheet=np.asarray(group == _SHEET),
        sheet_light=sheet_light,
    )


def _sheet_light(light: Float32, pixels: _Pixels) -> Float32 | None:
    """Light (3,) on the sheet: what comes from it over what it reflects."""
    sheet = pixels.group == _SHEET
    if np.count_nonzero(sheet) < _SHEET_PIXELS:
        return None
    return np.asarray(light.reshape(-1, 3)[sheet].sum(axis=0) / pixels.albedo[sheet].sum(axis=0))


def skin_places(scene: Scene, factor: float) -> Float32:
    """Where on the body each pixel of a photo lies.

    Skin under a dressing counts as seen, skin behind anything else does not.

    Parameters
    ----------
    scene : what is to be seen.
    factor : size of the result relative to the photo.

    Returns
    -------
    (h, w, 3) float32 places (`chart.places`), metres; nan off the skin.
    """
    width, height = scene.camera.size
    size = (round(width * factor), round(height * factor))
    camera = scaled_camera(scene.camera, factor, size)
    rays = pixel_rays(camera)
    hits, pixels = _first_surfaces(scene, _caster(scene), rays, camera.centre().astype(np.float32))
    places = np.full((len(rays), 3), np.nan, np.float32)
    skin = pixels.group == _SKIN
    places[skin] = places_on_faces(hits.face[skin], hits.barycentric[skin])
    return places.reshape(size[1], size[0], 3)


def _caster(scene: Scene) -> Caster:
    body = Mesh(scene.vertices, BodyModel.load().faces)
    return Caster([body, *(prop.mesh for prop in scene.props)])


def _first_surfaces(
    scene: Scene, caster: Caster, rays: Float32, eye: Float32
) -> tuple[Hits, _Pixels]:
    """What each ray meets first; distance and group are set, and the normals of planes."""
    hits = caster.nearest(eye, rays)
    pixels = _Pixels(len(rays))
    _sort_hits(scene, hits, rays, eye, pixels)
    return hits, pixels


def subject_brightness(rendering: Rendering) -> float:
    """Mean luminance that a camera meters: the body's mostly, the picture's where there is none."""
    luminance = rendering.light @ np.array((0.2126, 0.7152, 0.0722), np.float32)
    whole = float(luminance.mean())
    if rendering.body.mean() < 0.05:
        return whole
    return 0.7 * float(luminance[rendering.body].mean()) + 0.3 * whole


def _mm_per_px(pixels: _Pixels, camera: Camera) -> float:
    """Size of a pixel on the body, or on what there is."""
    body = pixels.distance[pixels.group == _SKIN]
    depth = float(np.median(body)) if body.size else float(np.median(pixels.distance))
    return depth / float(camera.k[0, 0]) * 1000


def _sort_hits(scene: Scene, hits: Hits, rays: Float32, eye: Float32, pixels: _Pixels) -> None:
    """Nearest of planes, sheet and meshes for each ray: sets distance, group and plane normals."""
    pixels.normal[:] = -rays
    for plane in scene.planes:
        slope = rays @ plane.normal
        reach = ((plane.point - eye) @ plane.normal) / np.where(np.abs(slope) < 1e-4, -1e-4, slope)
        nearer = (reach > 0.05) & (reach < pixels.distance)
        pixels.distance[nearer] = reach[nearer]
        pixels.normal[nearer] = plane.normal
    if scene.sheet is not None:
        normal, centre, right, down = (
            vector.astype(np.float32)
            for vector in (
                scene.sheet.normal,
                scene.sheet.centre,
                scene.sheet.right,
                scene.sheet.down,
            )
        )
        slope = rays @ normal
        reach = ((centre - eye) @ normal) / np.where(slope > -1e-4, np.float32(-1e-4), slope)
        shift = eye - centre
        x = shift @ right + reach * (rays @ right)
        y = shift @ down + reach * (rays @ down)
        inside = (np.abs(x) < SHEET_MM[0] / 2000) & (np.abs(y) < SHEET_MM[1] / 2000)
        inside &= (reach > 0.05) & (reach < pixels.distance) & (slope < -1e-4)
        pixels.distance[inside] = reach[inside]
        pixels.normal[inside] = normal
        pixels.group[inside] = _SHEET
    model = BodyModel.load()
    hit = hits.distance < pixels.distance
    pixels.distance[hit] = hits.distance[hit]
    body = hit & (hits.mesh == 0)
    pixels.group[hit] = _PROP
    pixels.group[body] = np.where(model.skin_faces[hits.face[body]], _SKIN, _CAVITY)


def _paint_planes(
    scene: Scene, rays: Float32, eye: Float32, position: Float32, pixels: _Pixels, camera: Camera
) -> None:
    """Colours of cloths, walls and the calibration sheet."""
    focal = float(camera.k[0, 0])
    background = pixels.group == _PLANE
    pixels.albedo[background] = 0.3
    width, height = camera.size
    coarse = rays.reshape(height, width, 3)[::_STEP, ::_STEP]
    for plane in scene.planes:
        here = background & (np.abs((position - plane.point) @ plane.normal) < 1e-3)
        chosen = np.flatnonzero(here)
        if not chosen.size:
            continue
        scale = float(np.median(pixels.distance[chosen])) / focal * 1000
        # Cloth is smooth enough to be made at half the resolution and blown up.
        flat = coarse.reshape(-1, 3)
        slope = flat @ plane.normal
        reach = ((plane.point - eye) @ plane.normal) / np.where(slope > -1e-4, -1e-4, slope)
        spots = eye + flat * np.clip(reach, 0, _FAR).astype(np.float32)[:, None]
        colour, relief = plane_surface(plane, spots, scale)
        both = np.concatenate([colour, relief[:, None]], axis=1).reshape(*coarse.shape[:2], 4)
        shift = np.array([[1 / _STEP, 0, 0], [0, 1 / _STEP, 0]], np.float32)
        blown = cv2.warpAffine(
            both, shift, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        found = np.asarray(blown, np.float32).reshape(-1, 4)[chosen]
        pixels.albedo[chosen], pixels.height[chosen] = found[:, :3], found[:, 3]
        pixels.gloss[chosen] = plane.gloss
    chosen = np.flatnonzero(pixels.group == _SHEET)
    if scene.sheet is not None and chosen.size:
        away = (position[chosen] - scene.sheet.centre.astype(np.float32)) * 1000
        scale = float(np.median(pixels.distance[chosen])) / focal * 1000
        pixels.albedo[chosen] = sheet_albedo(
            away @ scene.sheet.right.astype(np.float32),
            away @ scene.sheet.down.astype(np.float32),
            scale,
        )
        pixels.gloss[chosen] = 0.04


def _paint_body(scene: Scene, hits: Hits, pixels: _Pixels, camera: Camera) -> None:
    """Colour, relief and labels of the patient."""
    model = BodyModel.load()
    case = scene.case
    chosen = np.flatnonzero((pixels.group == _SKIN) | (pixels.group == _CAVITY))
    if not chosen.size:
        return
    face, bary = hits.face[chosen], hits.barycentric[chosen]
    index = model.faces[face]
    normals = vertex_normals(scene.vertices, model.faces)
    smooth = np.einsum("nk,nkc->nc", bary, normals[index])
    smooth /= np.linalg.norm(smooth, axis=1, keepdims=True)
    pixels.normal[chosen] = smooth
    rest = case.patient.rest.vertices.astype(np.float32)
    position = np.einsum("nk,nkc->nc", bary, rest[index])
    inclination = np.einsum("nk,nk->n", bary, vertex_inclination()[index])
    uv = np.einsum("nk,nkc->nc", bary, model.uv[model.face_uv[face]])
    scale = _mm_per_px(pixels, camera)
    healthy = skin_albedo(case.skin, position, uv, inclination, scale)
    state = case.course.state(position, inclination, scene.day)
    skin = pixels.group[chosen] == _SKIN
    borders = _borders(np.where(skin, state.label, 0), chosen, camera.size, scale)
    paint = paint_skin(case.lesions, state, healthy, position, borders, scale)
    hidden, depths = covered(scene.dressings, position)
    paint = cover(scene.dressings, depths, position, paint)
    pixels.albedo[chosen] = paint.albedo
    pixels.gloss[chosen] = paint.gloss
    pixels.roughness[chosen] = paint.roughness
    pixels.height[chosen] = paint.height_m
    label = np.where(hidden, int(Label.NOT_ASSESSABLE), state.label)
    pixels.label[chosen] = np.where(skin, label, int(Label.BACKGROUND))
    cavity = np.flatnonzero(~skin)
    if cavity.size:
        pixels.albedo[chosen[cavity]] = _cavity_albedo(scene, position[cavity])
        pixels.gloss[chosen[cavity]], pixels.height[chosen[cavity]] = 0.9, 0
        pixels.roughness[chosen[cavity]] = 0.15


def _borders(
    label: NDArray[np.uint8], chosen: NDArray[np.intp], size: tuple[int, int], mm_per_px: float
) -> Borders:
    """Distances along the picture to and from detached and healed skin."""
    full = np.zeros((size[1], size[0]), np.uint8)
    full.reshape(-1)[chosen] = label
    metres = np.float32(mm_per_px * 1e-3)

    def distance(region: NDArray[np.bool_]) -> Float32:
        found = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 3)
        return (np.asarray(found, np.float32).ravel()[chosen]) * metres

    # The outline of the body is not a border of a lesion: background counts as inside.
    return Borders(
        to_detached=distance(full != Label.DETACHED),
        into_detached=distance((full == Label.DETACHED) | (full == 0)),
        to_healed=distance(full != Label.REEPITHELIALISED),
        into_healed=distance((full == Label.REEPITHELIALISED) | (full == 0)),
    )


def _cavity_albedo(scene: Scene, position: Float32) -> Float32:
    """Eyes with iris and pupil; red inside the mouth; (N, 3)."""
    model = BodyModel.load()
    albedo = np.empty_like(position)
    albedo[:] = srgb_to_linear(np.array((120, 40, 40), np.uint8))
    for side in "LR":
        centre = scene.case.patient.rest.bone_heads[model.bone_index(f"eye.{side}")]
        away = position - centre.astype(np.float32)
        distance = np.linalg.norm(away, axis=1)
        eye = distance < 0.02
        angle = np.arccos(np.clip(-away[:, 1] / np.maximum(distance, 1e-6), -1, 1))
        albedo[eye] = srgb_to_linear(np.array((222, 214, 208), np.uint8))
        albedo[eye & (angle < 0.48)] = srgb_to_linear(np.array((84, 66, 48), np.uint8))
        albedo[eye & (angle < 0.2)] = 0.01
    return albedo


def _paint_props(scene: Scene, hits: Hits, position: Float32, pixels: _Pixels) -> None:
    """Pillows and gloves."""
    shown = pixels.group == _PROP
    for number, prop in enumerate(scene.props, start=1):
        chosen = np.flatnonzero(shown & (hits.mesh == number))
        if not chosen.size:
            continue
        _paint_prop(scene, prop, chosen, hits, position, pixels)
        pixels.group[chosen] = _PROP + number


def _paint_prop(
    scene: Scene,
    prop: Prop,
    chosen: NDArray[np.intp],
    hits: Hits,
    position: Float32,
    pixels: _Pixels,
) -> None:
    normals = vertex_normals(prop.mesh.vertices, prop.mesh.faces)
    index = prop.mesh.faces[hits.face[chosen]]
    smooth = np.einsum("nk,nkc->nc", hits.barycentric[chosen], normals[index])
    pixels.normal[chosen] = smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-6)
    cloth = scene.case.skin.noise.sample(position[chosen], prop.fold_m)
    pixels.albedo[chosen] = np.clip(prop.colour * (1 + 0.05 * cloth[:, :1]), 0.005, 0.93)
    pixels.height[chosen] = 0.012 * prop.fold_m * cloth[:, 1]
    pixels.gloss[chosen], pixels.roughness[chosen] = prop.gloss, 0.4
    pixels.label[chosen] = prop.label


def _draw_tubes(
    tubes: tuple[Tube, ...], pixels: _Pixels, size: tuple[int, int], mm_per_px: float
) -> None:
    """Lines and cables laid over the picture; not assessable where they hide skin."""
    for tube in tubes:
        t = np.linspace(0, 1, 60)[:, None]
        p = tube.points
        curve = (
            (1 - t) ** 3 * p[0]
            + 3 * t * (1 - t) ** 2 * p[1]
            + 3 * t**2 * (1 - t) * p[2]
            + t**3 * p[3]
        ) * np.array(size)
        width = max(tube.width_mm / mm_per_px, 1.2)
        canvas = np.zeros((size[1], size[0]), np.uint8)
        cv2.polylines(canvas, [np.round(curve).astype(np.int32)], False, 1, max(round(width), 1))
        inside = np.asarray(cv2.distanceTransform(canvas, cv2.DIST_L2, 3), np.float32).ravel()
        halo = cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), width)
        pixels.albedo *= (1 - 0.35 * np.asarray(halo, np.float32).ravel())[:, None]
        chosen = np.flatnonzero(inside > 0)
        round_ness = np.clip(inside[chosen] / (width / 2), 0, 1)
        pixels.albedo[chosen] = tube.colour * (0.45 + 0.55 * round_ness)[:, None]
        pixels.gloss[chosen], pixels.roughness[chosen] = 0.8, 0.25
        skin = pixels.label[chosen] != Label.BACKGROUND
        pixels.label[chosen[skin]] = Label.NOT_ASSESSABLE
