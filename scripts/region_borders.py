"""Where the Lund-Browder regions end, drawn once on a reference adult at rest.

The topology is fixed, so that a border drawn here follows the anatomy of every body. All work is on
the left half, |x|; the right half mirrors it. Lengths are metres in the frame of the reference
body, which is 172 cm tall and midway between woman and man.
"""

import numpy as np

from bsa_vision.chart.anny_model import BodyModel, RestBody
from bsa_vision.chart.regions import REGION_NAMES

REFERENCE = {"gender": 0.5, "age": 0.8, "height": 0.4, "weight": 0.85}

# Points of the midline profile and the flank, (y, z) or (|x|, z), read off the reference body.
GNATHION, NUCHAL_LINE = (-0.140, 0.677), (0.020, 0.728)
SUPRASTERNAL_NOTCH, C7 = (-0.079, 0.610), (0.033, 0.630)
NECK_FLARE = 0.80  # rise of the neck's base per metre towards the shoulder
AXILLA_X, SHOULDER_FLOOR = 0.176, 0.38
MID_AXILLARY = ((0.0, -0.026), (0.50, -0.028), (0.60, -0.004), (0.66, -0.020))  # z, y
ASIS, PUBIC_TUBERCLE = (0.125, 0.175), (0.030, 0.048)
GLUTEAL_FOLD = ((0.0, -0.002), (0.06, 0.000), (0.20, 0.025))  # |x|, z
ILIAC_CREST = ((0.0, 0.150), (0.06, 0.175), (0.16, 0.225))
SMOOTHING_ROUNDS = 8
# Anny's knee joint lies at the top of the patella and its ankle joint at the tips of the malleoli;
# the borders lie at the joint line of the knee and above the malleoli.
KNEE_LINE_BELOW_JOINT, ANKLE_LINE_ABOVE_JOINT = 0.042, 0.018
MONS_Z, PERINEUM_Y = 0.062, 0.012


def profile(table: tuple[tuple[float, float], ...], at: np.ndarray) -> np.ndarray:
    """A border given by support points, linear between them."""
    return np.interp(at, [p[0] for p in table], [p[1] for p in table])


def line(a: tuple[float, float], b: tuple[float, float], at: np.ndarray) -> np.ndarray:
    """The straight line through two points, endless."""
    return a[1] + (at - a[0]) * (b[1] - a[1]) / (b[0] - a[0])


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def across(vector: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The part of `vector` perpendicular to `axis`, of unit length."""
    axis = unit(axis)
    return unit(vector - np.sum(vector * axis, axis=-1, keepdims=True) * axis)


class Skeleton:
    """Left joints of the reference body by bone label."""

    def __init__(self, model: BodyModel, rest: RestBody) -> None:
        self._model, self._heads = model, rest.bone_heads

    def __getitem__(self, label: str) -> np.ndarray:
        return self._heads[self._model.bone_index(label)]

    def beyond(self, points: np.ndarray, before: str, joint: str, after: str) -> np.ndarray:
        """Whether points lie beyond a joint, cut by the plane that halves its angle."""
        here = self[joint]
        normal = unit(here - self[before]) + unit(self[after] - here)
        return (points - here) @ normal > 0


def bone_share(model: BodyModel, prefixes: tuple[str, ...]) -> np.ndarray:
    """Summed skinning weight (V,) of the bones, left or right, whose labels start so."""
    chosen = np.array([label.startswith(prefixes) for label in model.bone_labels])
    return (model.skin_weights * chosen[model.skin_bones]).sum(axis=1)


def regions_of(
    points: np.ndarray, arm: np.ndarray, leg: np.ndarray, joints: Skeleton
) -> np.ndarray:
    """Region index of left-half points (n, 3) with shares of arm and leg bones (n,)."""
    x, y, z = points.T
    anterior = y < profile(MID_AXILLARY, z)
    name = np.where(anterior, "anterior_trunk", "posterior_trunk").astype("<U16")

    fold = np.where(
        anterior, np.minimum(line(PUBIC_TUBERCLE, ASIS, x), 0.185), profile(GLUTEAL_FOLD, x)
    )
    pelvic = (z < 0.30) & (arm < 0.5)
    name[pelvic & ~anterior & (z < profile(ILIAC_CREST, x))] = "buttock"
    name[pelvic & (z < fold)] = "thigh"
    crotch = (x < line((0.0, 0.028), (0.06, 0.055), z)) & (z < MONS_Z) & (z > -0.02)
    name[pelvic & crotch & (y < PERINEUM_Y)] = "genitalia"
    shin = unit(joints["foot.L"] - joints["lowerleg01.L"])
    above_line = points - KNEE_LINE_BELOW_JOINT * shin
    below_knee = joints.beyond(above_line, "upperleg02.L", "lowerleg01.L", "lowerleg02.L")
    below_knee &= leg > 0.5
    name[below_knee] = "lower_leg"
    ankle = joints["foot.L"] - ANKLE_LINE_ABOVE_JOINT * shin
    name[below_knee & ((points - ankle) @ shin > 0)] = "foot"

    on_arm = (x > AXILLA_X) & (z > SHOULDER_FLOOR) | (arm > 0.5) & (x > AXILLA_X)
    name[on_arm] = "upper_arm"
    below_elbow = on_arm & joints.beyond(points, "upperarm01.L", "lowerarm01.L", "wrist.L")
    name[below_elbow] = "forearm"
    forearm = unit(joints["wrist.L"] - joints["lowerarm01.L"])
    name[below_elbow & ((points - joints["wrist.L"]) @ forearm > 0)] = "hand"

    flare = NECK_FLARE * (np.hypot(x, 0.03) - 0.03)  # round at the midline
    base = line(SUPRASTERNAL_NOTCH, C7, np.clip(y, -0.079, 0.033)) + flare
    name[(z > base) & (x < 0.10)] = "neck"
    name[z > line(GNATHION, NUCHAL_LINE, np.clip(y, -0.2, 0.03))] = "head"
    return np.array([REGION_NAMES.index(n) for n in name], dtype=np.uint8)


def fronts_of(
    region: np.ndarray, points: np.ndarray, normals: np.ndarray, joints: Skeleton
) -> np.ndarray:
    """Whether left-half points are anterior: volar in the arm, dorsal in the foot."""
    name = np.array(REGION_NAMES)[region]
    _, y, z = points.T
    front = y < profile(MID_AXILLARY, z)
    front[name == "head"] = y[name == "head"] < -0.045
    front[name == "neck"] = y[name == "neck"] < -0.030
    front[name == "genitalia"] = True
    front[(name == "buttock") | (name == "posterior_trunk")] = False

    for part, start, end in (
        ("thigh", "upperleg01.L", "lowerleg01.L"),
        ("lower_leg", "lowerleg01.L", "foot.L"),
    ):
        chosen = name == part
        toward = np.broadcast_to([0.0, -1.0, 0.0], points.shape)
        front[chosen] = _side_of(points, joints[start], joints[end], toward)[chosen]
    foot = name == "foot"
    front[foot] = ((normals[:, 2] > -0.25) & (y < joints["foot.L"][1]))[foot]

    shoulder, elbow, wrist = joints["upperarm01.L"], joints["lowerarm01.L"], joints["wrist.L"]
    upper, fore = elbow - shoulder, wrist - elbow
    biceps, volar = across(fore, upper), across(-upper, fore)
    palm = across(joints["finger3-3.L"] - joints["finger3-1.L"], joints["finger3-1.L"] - wrist)
    along = np.clip((points - elbow) @ fore / (fore @ fore), 0, 1)[:, None]
    turned = across((1 - along) * volar + along * palm, fore)
    chosen = name == "upper_arm"
    toward = np.broadcast_to(biceps, points.shape)
    front[chosen] = _side_of(points, shoulder, elbow, toward)[chosen]
    chosen = name == "forearm"
    front[chosen] = _side_of(points, elbow, wrist, turned)[chosen]
    chosen = name == "hand"
    front[chosen] = _palmar(points, normals, palm, joints)[chosen]
    return front


def _side_of(
    points: np.ndarray, start: np.ndarray, end: np.ndarray, toward: np.ndarray
) -> np.ndarray:
    """Whether points lie on the `toward` (n, 3) side of the axis from start to end."""
    axis = unit(end - start)
    offset = points - start
    offset = offset - (offset @ axis)[:, None] * axis
    return np.sum(offset * across(toward, axis), axis=1) > 0


def _palmar(
    points: np.ndarray, normals: np.ndarray, palm: np.ndarray, joints: Skeleton
) -> np.ndarray:
    """Whether skin faces the palm's side of the finger bone nearest to it."""
    bones = [(joints["wrist.L"], joints[f"finger{k}-1.L"], palm) for k in (2, 3, 4, 5)]
    for k in range(1, 6):
        first, second, third = (joints[f"finger{k}-{i}.L"] for i in (1, 2, 3))
        root = joints["wrist.L"] if k == 1 else first
        flexion = palm if k > 1 else across(joints["finger3-1.L"] - first, third - first)
        tip = third + (third - second)
        bones += [(root, first, flexion), (first, second, flexion), (second, tip, flexion)]
    distance = np.full((len(bones), len(points)), np.inf)
    facing = np.zeros((len(bones), len(points)))
    for i, (start, end, toward) in enumerate(bones):
        length = end - start
        if length @ length < 1e-8:
            continue
        along = np.clip((points - start) @ length / (length @ length), 0, 1)[:, None]
        distance[i] = np.linalg.norm(points - start - along * length, axis=1)
        facing[i] = normals @ across(toward, length)
    nearest = distance.argmin(axis=0)
    return np.take_along_axis(facing, nearest[None], axis=0)[0] > 0


def smoothed(tag: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Tags with the teeth of borders cut: what prevails when each tag diffuses over a few cells."""
    both = np.concatenate([neighbours, neighbours[:, ::-1]])
    degree = np.bincount(both[:, 0], minlength=len(tag))[:, None]
    share = np.eye(int(tag.max()) + 1)[tag]
    for _ in range(SMOOTHING_ROUNDS):
        around = np.zeros_like(share)
        np.add.at(around, both[:, 0], share[both[:, 1]])
        share = (share + around / degree) / 2
    return share.argmax(axis=1).astype(tag.dtype)


def tag_cells(
    model: BodyModel,
    face: np.ndarray,
    corners: np.ndarray,
    mirror: np.ndarray,
    neighbours: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Region index, side and front of cells, the same left and right."""
    rest = model.rest(REFERENCE)
    p = rest.vertices[model.faces]
    normals = unit(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]))[face]
    centre = corners.mean(axis=1)
    points = np.einsum("nk,nkc->nc", centre, p[face])
    right = points[:, 0] < 0
    points[right, 0] *= -1
    normals[right, 0] *= -1
    share = [
        np.einsum("nk,nk->n", centre, bone_share(model, prefixes)[model.faces[face]])
        for prefixes in (
            ("upperarm", "lowerarm", "wrist", "finger", "metacarpal"),
            ("upperleg", "lowerleg", "foot", "toe"),
        )
    ]
    joints = Skeleton(model, rest)
    region = regions_of(points, share[0], share[1], joints)
    front = fronts_of(region, points, normals, joints)
    region[right], front[right] = region[mirror[right]], front[mirror[right]]
    region = smoothed(region, neighbours)
    front = smoothed(front.astype(np.uint8), neighbours).astype(bool)
    front[region == REGION_NAMES.index("anterior_trunk")] = True
    front[np.isin(region, [REGION_NAMES.index(n) for n in ("posterior_trunk", "buttock")])] = False
    paired = np.isin(
        region,
        [
            REGION_NAMES.index(n)
            for n in ("buttock", "upper_arm", "forearm", "hand", "thigh", "lower_leg", "foot")
        ],
    )
    side = np.where(paired, np.where(right, -1, 1), 0).astype(np.int8)
    return region, side, front
