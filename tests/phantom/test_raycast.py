import numpy as np
import pytest

from bsa_vision.core.frames import Camera
from bsa_vision.phantom.raycast import Caster, Mesh, pixel_rays, vertex_normals


@pytest.fixture
def square() -> Mesh:
    """Side 2 in the plane z = 1, facing -z."""
    vertices = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], np.float64)
    return Mesh(vertices, np.array([[0, 2, 1], [0, 3, 2]], np.int32))


@pytest.fixture
def camera() -> Camera:
    k = np.array([[50, 0, 24.5], [0, 50, 19.5], [0, 0, 1.0]])
    return Camera(k=k, r=np.eye(3), t=np.zeros(3), size=(50, 40))


def test_rays_go_through_pixel_centres(camera):
    rays = pixel_rays(camera)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1, atol=1e-6)
    pixels = camera.project(rays.astype(np.float64))
    row, column = np.divmod(np.arange(50 * 40), 50)
    # float32 directions: 1e-7 of a pixel coordinate below 100, times the focal length.
    np.testing.assert_allclose(pixels, np.stack([column, row], axis=1), atol=1e-4)


def test_the_nearest_hit_and_its_place(square, camera):
    behind = Mesh(square.vertices + np.array([0, 0, 1]), square.faces)
    rays = pixel_rays(camera)
    hits = Caster([behind, square]).nearest(np.zeros(3, np.float32), rays)
    inside = np.abs(rays[:, :2] / rays[:, 2:]).max(axis=1) < 1 - 1e-6
    assert inside.all()
    assert np.all(hits.mesh == 1)
    corners = square.vertices[square.faces[hits.face]]
    place = np.einsum("nk,nkc->nc", hits.barycentric, corners)
    np.testing.assert_allclose(place, rays * hits.distance[:, None], atol=1e-5)


def test_misses_are_infinitely_far(square):
    hits = Caster([square]).nearest(np.zeros(3, np.float32), np.array([[0, 0, -1]], np.float32))
    assert hits.mesh[0] == -1
    assert np.isinf(hits.distance[0])


def test_shadow_rays_leave_their_own_surface(square):
    caster = Caster([square])
    start = np.array([[0.2, 0.1, 1], [0.2, 0.1, 0]], np.float32)
    up = np.array([[0, 0, 1], [0, 0, 1]], np.float32)
    np.testing.assert_array_equal(caster.blocked(start, up), [False, True])


def test_normals_point_out_of_the_face(square):
    np.testing.assert_allclose(
        vertex_normals(square.vertices, square.faces), np.tile([0, 0, -1.0], (4, 1)), atol=1e-7
    )
