import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from trimesh.ray.ray_pyembree import RayMeshIntersector

from bsa_vision.chart.anny_model import BodyModel, rotation_matrices
from bsa_vision.chart.landmarks import (
    LANDMARKS,
    MAX_FILE_BYTES,
    Landmark,
    landmark_points,
    parse_landmark_file,
)
from bsa_vision.core.errors import Refused

MODEL = BodyModel.load()
AVERAGE = MODEL.rest({}).vertices
PAIRS = [(name, landmark.mirror) for name, landmark in LANDMARKS.items() if landmark.mirror]
MIDLINE = [name for name, landmark in LANDMARKS.items() if landmark.mirror is None]
LEFT_ARM = tuple(
    label
    for label in MODEL.bone_labels
    if label.endswith(".L")
    and label.startswith(("shoulder", "upperarm", "lowerarm", "wrist", "metacarpal", "finger"))
)
UNIT = st.floats(0, 1)
phenotypes = st.fixed_dictionaries(
    {"gender": UNIT, "age": UNIT, "muscle": UNIT, "weight": UNIT, "height": UNIT}
)


def points(vertices: np.ndarray, *names: str) -> np.ndarray:
    return landmark_points(vertices, names)


def seen(vertices: np.ndarray, bones: tuple[str, ...], sight: tuple[float, ...]) -> set[str]:
    """Landmarks on the skin of `bones` that a far camera looking along `sight` sees."""
    strongest = MODEL.skin_bones[np.arange(len(vertices)), MODEL.skin_weights.argmax(axis=1)]
    part = np.array([label.startswith(bones) for label in MODEL.bone_labels])[strongest]
    names = [name for name, mark in LANDMARKS.items() if part[MODEL.faces[mark.face]].any()]
    faces = np.array([LANDMARKS[name].face for name in names])
    mesh = trimesh.Trimesh(vertices, MODEL.faces, process=False)
    away = -np.asarray(sight) / np.linalg.norm(sight)
    # from 1 mm above the skin, so that a ray does not start inside its own face
    starts = landmark_points(vertices, names) + 0.001 * mesh.face_normals[faces]
    hidden = RayMeshIntersector(mesh).intersects_any(starts, np.broadcast_to(away, starts.shape))
    facing = mesh.face_normals[faces] @ away > 0.15
    return {name for name, shown in zip(names, facing & ~hidden, strict=True) if shown}


class TestTable:
    def test_there_are_many_and_they_are_well_formed(self) -> None:
        assert len(LANDMARKS) >= 60
        assert len({landmark.meaning for landmark in LANDMARKS.values()}) == len(LANDMARKS)
        for name, landmark in LANDMARKS.items():
            assert landmark.name == name
            assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
            assert re.fullmatch(r"[A-Z][^.{}]*\.", landmark.meaning), "one sentence"

    def test_sides_come_in_pairs_that_say_their_side(self) -> None:
        for name, other in PAIRS:
            assert LANDMARKS[other].mirror == name
            side = name.rpartition("_")[2]
            assert side in ("left", "right")
            assert side in LANDMARKS[name].meaning.lower()

    def test_faces_are_skin_and_weights_are_barycentric(self) -> None:
        for landmark in LANDMARKS.values():
            assert MODEL.skin_faces[landmark.face]
            assert min(landmark.barycentric) >= 0
            # four decimals each, so only the last bits of the sum can be off
            assert sum(landmark.barycentric) == pytest.approx(1, abs=1e-12)

    def test_the_table_cannot_be_changed(self) -> None:
        with pytest.raises(TypeError):
            # mypy sees what the test shows.
            LANDMARKS["elbow"] = Landmark("elbow", "", 0, (1.0, 0.0, 0.0), None)  # type: ignore[index]  # the point


class TestPlaces:
    def test_left_and_right_are_mirror_images(self) -> None:
        # the template is symmetric to the bit; the sums over corners round in the last bits
        for name, other in PAIRS:
            here, there = points(MODEL._template, name, other)
            assert there == pytest.approx(here * (-1, 1, 1), abs=1e-12)
            assert (here[0] > 0) == name.endswith("_left")

    def test_midline_landmarks_lie_in_the_midline(self) -> None:
        assert points(MODEL._template, *MIDLINE)[:, 0] == pytest.approx(0, abs=1e-12)

    def test_no_two_landmarks_share_a_place(self) -> None:
        everything = landmark_points(AVERAGE, LANDMARKS)
        gaps = np.linalg.norm(everything[:, None] - everything, axis=2)
        gaps[np.diag_indices_from(gaps)] = np.inf
        # 5 mm: what a careful click in a photo with 1 mm pixels tells apart
        assert gaps.min() > 0.005

    @settings(max_examples=25, deadline=None)
    @given(phenotypes)
    def test_anatomical_order_holds_in_every_body(self, phenotype: dict[str, float]) -> None:
        vertices = MODEL.rest(phenotype).vertices
        downwards = (
            *("vertex", "glabella", "nasion", "nose_tip", "mouth_corner_left", "chin"),
            *("suprasternal_notch", "mid_sternum", "xiphoid", "umbilicus", "pubic_symphysis"),
            *("mid_thigh_front_left", "patella_centre_left", "tibial_tuberosity_left"),
            *("mid_shin_left", "ankle_front_left", "big_toe_tip_left"),
        )
        at_the_back = ("inion", "nape", "c7", "t7", "l4", "gluteal_cleft_top")
        down_the_leg = (
            *("gluteal_fold_mid_left", "popliteal_crease_mid_left"),
            *("calf_prominence_left", "achilles_left"),
        )
        for chain in (downwards, (*at_the_back, *down_the_leg, "heel_left", "heel_sole_left")):
            for above, below in pairwise(points(vertices, *chain)):
                assert above[2] > below[2]
        for front, back in (
            ("nose_tip", "inion"),
            ("suprasternal_notch", "c7"),
            ("xiphoid", "t7"),
            ("umbilicus", "l4"),
            ("anterior_axillary_fold_left", "posterior_axillary_fold_left"),
            ("patella_centre_left", "popliteal_crease_mid_left"),
            ("big_toe_tip_left", "heel_left"),
        ):
            forward, backward = points(vertices, front, back)
            assert forward[1] < backward[1]
        for chain in (
            ("nasion", "inner_canthus_left", "outer_canthus_left", "tragus_left"),
            ("suprasternal_notch", "mid_clavicle_left", "acromion_left", "olecranon_left"),
            ("umbilicus", "anterior_superior_iliac_spine_left", "greater_trochanter_left"),
            ("c7", "scapular_spine_root_left", "posterior_axillary_fold_left"),
            ("c7", "neck_base_left", "mid_trapezius_left", "acromion_left"),
            ("inion", "mastoid_left", "ear_root_top_left", "ear_rim_back_left"),
            ("medial_malleolus_left", "achilles_left", "lateral_malleolus_left"),
        ):
            assert (np.diff(points(vertices, *chain)[:, 0]) > 0).all()

    @pytest.mark.parametrize(
        ("one", "other", "joint"),
        [
            ("lateral_epicondyle_left", "medial_epicondyle_left", "lowerarm01.L"),
            ("cubital_fossa_left", "olecranon_left", "lowerarm01.L"),
            ("radial_styloid_left", "ulnar_styloid_left", "wrist.L"),
            ("lateral_femoral_condyle_left", "medial_femoral_condyle_left", "lowerleg01.L"),
            ("lateral_malleolus_left", "medial_malleolus_left", "foot.L"),
        ],
    )
    @pytest.mark.parametrize("phenotype", [{}, {"age": 0.2}, {"weight": 1.0, "gender": 0.0}])
    def test_bony_points_stand_on_both_sides_of_their_joint(
        self, one: str, other: str, joint: str, phenotype: dict[str, float]
    ) -> None:
        body = MODEL.rest(phenotype)
        ends = points(body.vertices, one, other)
        centre = body.bone_heads[MODEL.bone_index(joint)]
        # the joint's centre lies inside the limb, so within half its breadth of the middle
        half = np.linalg.norm(ends[1] - ends[0]) / 2
        assert np.linalg.norm(ends.mean(axis=0) - centre) < half

    @pytest.mark.parametrize("phenotype", [{}, {"age": 0.2}, {"weight": 1.0, "gender": 0.0}])
    @pytest.mark.parametrize(
        ("bones", "sight"),
        [
            (("head", "neck"), (0, -1, 0)),
            (("head", "neck"), (-1, 0, 0)),
            (("head", "neck"), (1, 0, 0)),
            (LEFT_ARM, (0, -1, 0)),
            (("spine", "clavicle", "pelvis", "upperleg"), (-1, 0, 0)),
            (("foot", "toe"), (0, 0.64, -0.77)),
            (("foot", "toe"), (0, 0.34, 0.94)),
        ],
        ids=[
            "head back",
            "head left",
            "head right",
            "left arm back",
            "trunk left",
            "feet",
            "soles",
        ],
    )
    def test_every_close_view_shows_enough_of_them(
        self, bones: tuple[str, ...], sight: tuple[float, ...], phenotype: dict[str, float]
    ) -> None:
        # four place a photo at all; twice that leaves room for hair, dressings and the frame
        assert len(seen(MODEL.rest(phenotype).vertices, bones, sight)) >= 8

    @given(
        st.lists(st.sampled_from(list(LANDMARKS)), max_size=6),
        st.tuples(*[st.floats(-3, 3)] * 3),
        st.tuples(*[st.floats(-2, 2)] * 3),
    )
    def test_landmarks_move_with_the_body(
        self, names: list[str], turn: tuple[float, ...], shift: tuple[float, ...]
    ) -> None:
        rotation = rotation_matrices(np.array([turn]))[0]
        here = landmark_points(AVERAGE, names)
        assert here.shape == (len(names), 3)
        there = landmark_points(AVERAGE @ rotation.T + shift, names)
        assert there == pytest.approx(here @ rotation.T + shift, abs=1e-9)

    def test_unknown_name_is_a_bug_of_the_caller(self) -> None:
        with pytest.raises(KeyError):
            points(AVERAGE, "elbow")


class TestLandmarkFile:
    def parsed(self, folder: Path, text: str) -> dict[str, tuple[float, float]] | Refused:
        path = folder / "trunk_front.landmarks.json"
        path.write_text(text, encoding="utf-8")
        return parse_landmark_file(path)

    def test_points_are_read(self, tmp_path: Path) -> None:
        text = '{"points": {"umbilicus": [812.5, 1400], "nipple_left": [-3, 2e2]}, "by": "RN"}'
        assert self.parsed(tmp_path, text) == {
            "umbilicus": (812.5, 1400.0),
            "nipple_left": (-3.0, 200.0),
        }
        assert self.parsed(tmp_path, '{"points": {}}') == {}

    def test_unknown_names_are_named_with_close_ones(self, tmp_path: Path) -> None:
        refused = self.parsed(tmp_path, '{"points": {"left_nipple": [1, 2], "umbilicus": [1, 2]}}')
        assert isinstance(refused, Refused)
        assert refused.code == "landmark_unknown"
        assert "trunk_front.landmarks.json" in refused.reason
        assert "left_nipple" in refused.reason
        assert "umbilicus" not in refused.reason
        refused = self.parsed(tmp_path, '{"points": {"suprasternal_noch": [1, 2]}}')
        assert isinstance(refused, Refused)
        assert "did you mean suprasternal_notch" in refused.remedy

    def test_many_unknown_names_are_counted(self, tmp_path: Path) -> None:
        text = json.dumps({"points": {f"q{i}": [0, 0] for i in range(9)}})
        refused = self.parsed(tmp_path, text)
        assert isinstance(refused, Refused)
        assert "and 4 more" in refused.reason

    @pytest.mark.parametrize(
        "value",
        ["[1]", "[1, 2, 3]", "7", "null", '["1", 2]', "[true, 2]", "[NaN, 1]", "[1, -Infinity]",
         "[1e999, 0]", f"[{'9' * 400}, 0]", "[[1, 2]]", '{"x": 1, "y": 2}'],
    )  # fmt: skip
    def test_bad_coordinates_are_refused(self, tmp_path: Path, value: str) -> None:
        refused = self.parsed(tmp_path, f'{{"points": {{"umbilicus": {value}}}}}')
        assert isinstance(refused, Refused)
        assert refused.code == "landmarks_unreadable"
        assert "umbilicus" in refused.reason
        assert len(refused.reason) < 200

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "null", '{"points": []}', '{"umbilicus": [1, 2]}', "[" * 100_000,
         f'{{"points": {{"umbilicus": [{"9" * 5000}, 0]}}}}'],
    )  # fmt: skip
    def test_other_content_is_refused(self, tmp_path: Path, text: str) -> None:
        refused = self.parsed(tmp_path, text)
        assert isinstance(refused, Refused)
        assert refused.code == "landmarks_unreadable"

    def test_what_is_no_text_file_is_refused(self, tmp_path: Path) -> None:
        photo = tmp_path / "photo.jpg"
        photo.write_bytes(b"\xff\xd8\xff\xe0")
        huge = tmp_path / "huge.json"
        huge.write_bytes(b" " * (MAX_FILE_BYTES + 1))
        for path in (photo, huge, tmp_path, tmp_path / "missing.json"):
            assert isinstance(parse_landmark_file(path), Refused)
