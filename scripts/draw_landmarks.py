"""Draw every landmark on three bodies and write docs/landmarks.md.

    .venv/bin/python scripts/draw_landmarks.py

`src/bsa_vision/chart/data/landmarks.json` is the source; its landmarks were placed by eye on such
renderings. Each picture shows one part of the body: a row per person, a column per view. Every
landmark that a view sees has a dot; labels name those in the midline and on the patient's left, the
right being its mirror image.
"""

import re
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from trimesh.ray.ray_pyembree import RayMeshIntersector

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.body import solve_body
from bsa_vision.chart.landmarks import LANDMARKS, landmark_points
from bsa_vision.chart.patient import Patient
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray

DOCS = Path(__file__).parents[1] / "docs"
PATIENTS = {
    "woman": Patient("woman", "female", 44, 165, 62),
    "obese man": Patient("man", "male", 52, 178, 125),
    "child": Patient("child", "male", 6, 116, 21),
}
HEIGHT_PX, MARGIN_PX, LABEL_PX = 520, 200, 15
DOT, LINE, TEXT = (213, 40, 0), (90, 120, 200), (0, 0, 120)
#: A landmark is seen when nothing lies more than this in front of it and its face is not turned
#: away; those on the outline count (sine of the angle).
SEEN_M, EDGE_ON = 0.004, 0.3
#: Stature at which a plate's half width holds; smaller people are drawn larger.
ADULT_M = 1.7


@dataclass(frozen=True)
class Plate:
    """One picture.

    Attributes
    ----------
    middle : landmarks whose mean is the centre of the panels.
    axis : two landmarks, the upper and the lower end of what is drawn upright; None: the body's z.
    across : two landmarks, left and right in the first view; None: the patient's right and left.
    bones : the start of the names of bones whose skin is drawn.
    sides : ``"both"``, or ``"left"`` for a limb: the patient's left alone is drawn.
    half_m : half the height of a panel on an adult, metres.
    width : width of a panel over its height.
    views : name and turn round the upright axis in degrees; 0 is the first view.
    """

    name: str
    middle: tuple[str, ...]
    axis: tuple[str, str] | None
    across: tuple[str, str] | None
    bones: tuple[str, ...]
    sides: str
    half_m: float
    width: float
    views: tuple[tuple[str, float], ...]


HEAD_BONES = ("head", "neck", "eye", "spine01", "clavicle", "shoulder01")
TRUNK_BONES = (
    *("root", "pelvis", "spine", "breast", "clavicle", "shoulder01", "upperarm01"),
    *("upperleg01", "upperleg02", "neck"),
)
LEG_BONES = ("upperleg", "lowerleg", "foot", "toe", "pelvis")
ARM_BONES = ("shoulder01", "upperarm", "lowerarm", "wrist")
FOOT_BONES = ("foot", "toe")
ANKLE_BONES = (*FOOT_BONES, "lowerleg02")
HAND_BONES = ("wrist", "metacarpal", "finger", "lowerarm02")
TURNED = (("front", 0.0), ("left", 90.0), ("back", 180.0))
AROUND = (("front", 0.0), ("outer side", 90.0), ("back", 180.0), ("inner side", -90.0))
UPRIGHT = (None, None)
ARM = ("acromion_left", "wrist_crease_mid_left")
HAND = ("wrist_crease_mid_left", "middle_fingertip_left")
FOOT = ("big_toe_tip_left", "heel_left")
BASE_OF_FINGERS = ("knuckle_little_left", "knuckle_index_left")
BALL = ("first_metatarsal_head_left", "fifth_metatarsal_head_left")
HAND_VIEWS = (("palm", 0.0), ("thumb", 90.0), ("back", 180.0), ("little finger", -90.0))
SOLE_VIEWS = (("sole", 0.0), ("top", 180.0))
PLATES = (
    Plate(
        "head",
        ("vertex", "gonion_left", "gonion_right"),
        *UPRIGHT,
        HEAD_BONES,
        "both",
        0.18,
        0.8,
        TURNED,
    ),
    Plate("trunk", ("c7", "pubic_symphysis"), *UPRIGHT, TRUNK_BONES, "both", 0.42, 0.8, TURNED),
    Plate("arm", ARM, ARM, None, ARM_BONES, "left", 0.34, 0.55, AROUND),
    Plate("hand", HAND, HAND, BASE_OF_FINGERS, HAND_BONES, "left", 0.14, 0.7, HAND_VIEWS),
    Plate("leg", ("patella_centre_left",), *UPRIGHT, LEG_BONES, "left", 0.53, 0.5, AROUND),
    Plate(
        "foot",
        ("achilles_left", "big_toe_tip_left"),
        *UPRIGHT,
        ANKLE_BONES,
        "left",
        0.14,
        1.25,
        AROUND,
    ),
    Plate("sole", FOOT, FOOT, BALL, FOOT_BONES, "left", 0.17, 0.7, SOLE_VIEWS),
)


def unit(vector: FloatArray) -> FloatArray:
    scaled: FloatArray = vector / np.linalg.norm(vector)
    return scaled


def view_axes(plate: Plate, vertices: FloatArray, turn: float) -> tuple[FloatArray, ...]:
    """Unit vectors right, up and sight of a view."""
    up, right = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    if plate.axis:
        top, bottom = landmark_points(vertices, plate.axis)
        up = unit(top - bottom)
    if plate.across:
        first, second = landmark_points(vertices, plate.across)
        right = second - first
    right = unit(right - up * (right @ up))
    sight = np.cross(up, right)
    angle = np.radians(turn)
    turned = np.cos(angle) * right - np.sin(angle) * -sight
    return turned, up, np.cross(up, turned)


def skin_of(plate: Plate) -> NDArray[np.bool_]:
    """Faces (27420,) with a corner that moves most with a bone of the plate."""
    model = BodyModel.load()
    strongest = model.skin_bones[np.arange(len(model.skin_bones)), model.skin_weights.argmax(1)]
    other = ".R" if plate.sides == "left" else "none"
    chosen = np.array(
        [label.startswith(plate.bones) and not label.endswith(other) for label in model.bone_labels]
    )
    kept: NDArray[np.bool_] = chosen[strongest][model.faces].any(axis=1)
    return kept


class Panel:
    """One person's part from one side: rays, shading and labels."""

    def __init__(self, plate: Plate, vertices: FloatArray, turn: float) -> None:
        faces = BodyModel.load().faces
        self.kept = skin_of(plate)
        self.mesh = trimesh.Trimesh(vertices, faces[self.kept], process=False)
        self.rays = RayMeshIntersector(self.mesh)
        self.right, self.up, self.sight = view_axes(plate, vertices, turn)
        self.centre = landmark_points(vertices, plate.middle).mean(axis=0)
        self.half = plate.half_m * np.ptp(vertices[:, 2]) / ADULT_M
        self.size = np.array([round(HEIGHT_PX * plate.width), HEIGHT_PX])

    def pixels(self, points: FloatArray) -> FloatArray:
        """(N, 3) metres -> (N, 2) pixels of the panel's drawing, without its margins."""
        moved = points - self.centre
        plane = np.stack([moved @ self.right, -(moved @ self.up)], axis=1)
        return plane / self.half * HEIGHT_PX / 2 + self.size / 2

    def hits(self, starts: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
        """First face of the mesh along the sight (-1: none) and the depth of the hit."""
        sights = np.broadcast_to(self.sight, starts.shape)
        face = np.asarray(self.rays.intersects_first(starts, sights))
        corner = self.mesh.triangles[face, 0]
        normal = self.mesh.face_normals[face]
        slope = np.einsum("nc,c->n", normal, self.sight)
        depth = np.einsum("nc,nc->n", corner - starts, normal) / np.where(slope, slope, 1e-9)
        return face, np.where(face >= 0, depth, np.inf)

    def shaded(self) -> Image.Image:
        """The drawing without labels, lit from the upper left."""
        metres = 2 * self.half / HEIGHT_PX
        across, down = np.meshgrid(*((np.arange(n) + 0.5 - n / 2) * metres for n in self.size))
        starts = self.centre - 2 * self.sight
        starts = starts + across.reshape(-1, 1) * self.right - down.reshape(-1, 1) * self.up
        face, depth = self.hits(starts)
        seen = face >= 0
        points = starts[seen] + depth[seen, None] * self.sight
        weights = trimesh.triangles.points_to_barycentric(self.mesh.triangles[face[seen]], points)
        corners = self.mesh.vertex_normals[self.mesh.faces[face[seen]]]
        normal = np.einsum("nk,nkc->nc", weights, corners)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        lamp = unit(-0.6 * self.sight + 0.9 * self.up - 0.7 * self.right)
        fill = unit(-0.3 * self.sight - 0.5 * self.up + 0.9 * self.right)
        light = 0.2 + 0.65 * np.maximum(normal @ lamp, 0) + 0.3 * np.maximum(normal @ fill, 0)
        tones = np.full(len(face), 255.0)
        tones[seen] = np.minimum(235 * light, 235)
        return Image.fromarray(tones.reshape(across.shape).astype(np.uint8)).convert("RGB")

    def seen(self, vertices: FloatArray) -> dict[str, FloatArray]:
        """Pixels of the landmarks that this panel shows."""
        names = [name for name, landmark in LANDMARKS.items() if self.kept[landmark.face]]
        points = landmark_points(vertices, names)
        corners = vertices[BodyModel.load().faces[[LANDMARKS[name].face for name in names]]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        facing = normal @ self.sight < EDGE_ON * np.linalg.norm(normal, axis=1)
        depth = self.hits(points - 2 * self.sight)[1]
        pixels = self.pixels(points)
        inside = ((pixels > 0) & (pixels < self.size)).all(axis=1)
        seen = facing & inside & (depth > 2 - SEEN_M)
        return {name: pixels[i] for i, name in enumerate(names) if seen[i]}


def spread(wanted: list[float]) -> list[float]:
    """Label heights in the order given, as near to `wanted` as the spacing lets them be."""
    placed = list(wanted)
    for _ in range(200):
        for i, (above, below) in enumerate(pairwise(placed)):
            lack = LABEL_PX - (below - above)
            if lack > 0:
                placed[i], placed[i + 1] = above - lack / 2, below + lack / 2
    return placed


def drawn(plate: Plate, vertices: FloatArray, turn: float, title: str) -> Image.Image:
    """A panel with its dots, its labels in the margins and lines between them."""
    panel = Panel(plate, vertices, turn)
    width = int(panel.size[0])
    image = Image.new("RGB", (width + 2 * MARGIN_PX, HEIGHT_PX + 2 * LABEL_PX), "white")
    image.paste(panel.shaded(), (MARGIN_PX, LABEL_PX))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
    draw.text((MARGIN_PX + width / 2, 1), title, fill="black", font=font, anchor="mt")
    dots = {name: p + np.array([MARGIN_PX, LABEL_PX]) for name, p in panel.seen(vertices).items()}
    labelled = sorted((p[1], name) for name, p in dots.items() if not name.endswith("_right"))
    for is_left in (True, False):
        half = MARGIN_PX + width / 2 + 1  # the midline is labelled on the left
        names = [name for _, name in labelled if (dots[name][0] < half) == is_left]
        heights = spread([float(dots[name][1]) for name in names])
        x = MARGIN_PX - 4 if is_left else MARGIN_PX + width + 4
        for name, y in zip(names, heights, strict=True):
            draw.line([(x, y), tuple(dots[name])], fill=LINE)
            anchor = "rm" if is_left else "lm"
            draw.text((x, y), name.removesuffix("_left"), fill=TEXT, font=font, anchor=anchor)
    for x, y in dots.values():
        draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=DOT, outline="white")
    return image


def indexed(image: Image.Image) -> Image.Image:
    """The picture in few colours, so that its file is small: greys, the dots', the letters'."""
    letters = [np.linspace(colour, 255, 8) for colour in (LINE, TEXT)]
    colours = np.concatenate([np.linspace((0, 0, 0), (255, 255, 255), 60), [DOT], *letters])
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.rint(colours).astype(np.uint8).tobytes())
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def picture(plate: Plate, bodies: dict[str, FloatArray]) -> Image.Image:
    """A plate: rows are people, columns views."""
    rows = [
        [drawn(plate, vertices, turn, f"{who}, {view}") for view, turn in plate.views]
        for who, vertices in bodies.items()
    ]
    width, height = rows[0][0].size
    sheet = Image.new("RGB", (width * len(plate.views), height * len(rows)), "white")
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            sheet.paste(panel, (j * width, i * height))
    return indexed(sheet)


def document() -> str:
    """docs/landmarks.md: the table, pairs in one row, and the pictures."""
    lines = [
        "# Landmarks",
        "",
        "Named points of the body surface that can be marked in a photo, so that the body chart",
        "can be laid over it. Four or more per photo, on every limb that the photo shows. Left and",
        "right are the patient's: `nipple` with a side means `nipple_left` and `nipple_right`.",
        "`bsa-vision landmarks --json` gives the faces and weights that place them on the body.",
        f"There are {len(LANDMARKS)}, counting sides.",
        "",
        "| name | sides | where |",
        "|---|---|---|",
    ]
    for name, landmark in LANDMARKS.items():
        if name.endswith("_right"):
            continue
        where = re.sub(r"\b[Ll]eft ", "", landmark.meaning)
        where = where[0].upper() + where[1:]
        sides = "left, right" if landmark.mirror else "middle"
        lines.append(f"| `{name.removesuffix('_left')}` | {sides} | {where} |")
    lines += [
        "",
        "Checked by looking at them on three bodies with very different shapes; dots without a",
        "label are those of the patient's right. Made by `scripts/draw_landmarks.py`.",
    ]
    for plate in PLATES:
        lines += ["", f"## {plate.name.capitalize()}", ""]
        lines.append(f"![Landmarks of the {plate.name}](pictures/landmarks_{plate.name}.png)")
    return "\n".join(lines) + "\n"


def main() -> None:
    bodies = {}
    for who, patient in PATIENTS.items():
        body = solve_body(patient)
        if isinstance(body, Refused):
            sys.exit(str(body))
        bodies[who] = body.rest.vertices
    (DOCS / "pictures").mkdir(parents=True, exist_ok=True)
    for plate in PLATES:
        path = DOCS / "pictures" / f"landmarks_{plate.name}.png"
        picture(plate, bodies).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size // 1000} kB")
    (DOCS / "landmarks.md").write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
