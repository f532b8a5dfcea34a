"""Path lengths against formulas, against ray casting and against themselves; gradients against differences."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
import trimesh

from aasce.types import AasceError
from aasce.xray.camera import ConeBeam, SlotScanner
from aasce.xray.mesh import Mesh
from aasce.xray.raster import material_maps, path_length
from aasce.xray.spans import signed_depths

BOX = (-60.0, 60.0, -50.0, 70.0)
POSE = {"rotation": (7.3, -11.9, 23.1), "shift": (3.1, 12.7, -4.9)}


def bumpy() -> object:
    shape = trimesh.creation.icosphere(subdivisions=3, radius=1.0)
    x, y, z = shape.vertices.T
    shape.vertices *= (35 + 6 * np.sin(5 * x) * np.cos(4 * y) + 4 * np.sin(6 * z))[:, None]
    return shape


SHAPES: dict[str, Callable[[], object]] = {
    "sphere": lambda: trimesh.creation.icosphere(subdivisions=3, radius=40.0),
    "box": lambda: trimesh.creation.box((50.0, 40.0, 60.0)),
    "torus": lambda: trimesh.creation.torus(30.0, 12.0, major_sections=40, minor_sections=20),
    "blob": bumpy,
}


def tensors(shape: object, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(shape.vertices, dtype=dtype), torch.tensor(shape.faces)  # type: ignore[attr-defined]


def mesh(shape: object, name: str = "T7", material: str = "cortex", inside: str = "soft") -> Mesh:
    return Mesh(name, material, inside, *tensors(shape))


def cameras(size: tuple[int, int] = (48, 48)) -> list[ConeBeam | SlotScanner]:
    return [
        ConeBeam(size, BOX, distance=700.0, gap=100.0, **POSE),  # type: ignore[arg-type]
        SlotScanner(size, BOX, view="PA", distance=600.0, gap=150.0, **POSE),  # type: ignore[arg-type]
    ]


def cast(shape: object, camera: ConeBeam | SlotScanner) -> np.ndarray:
    """Path lengths by trimesh's ray casting: exits minus entries."""
    pytest.importorskip("rtree")
    origin, direction = (array.reshape(-1, 3).numpy() for array in camera.rays())
    face, ray, place = shape.ray.intersects_id(  # type: ignore[attr-defined]
        origin, direction, multiple_hits=True, return_locations=True
    )
    outwards = np.sign((shape.face_normals[face] * direction[ray]).sum(1))  # type: ignore[attr-defined]
    along = ((place - origin[ray]) * direction[ray]).sum(1)
    return np.bincount(ray, outwards * along, len(origin)).reshape(camera.size)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("name", SHAPES)
def test_path_length_equals_ray_casting(name: str, kind: int) -> None:
    shape, camera = SHAPES[name](), cameras((40, 40))[kind]
    ours, theirs = path_length([mesh(shape)], camera).numpy(), cast(shape, camera)
    assert theirs.max() > 20.0
    assert np.abs(ours - theirs).max() < 1e-6 * theirs.max()


@pytest.mark.parametrize("kind", [0, 1])
def test_sphere_against_its_formula(kind: int) -> None:
    shape, camera = trimesh.creation.icosphere(subdivisions=5, radius=40.0), cameras((64, 64))[kind]
    origin, direction = camera.rays()
    along = (origin * direction).sum(-1)
    chord = 2 * (40.0**2 - (origin * origin).sum(-1) + along**2).clamp(min=0).sqrt()
    ours = path_length([mesh(shape)], camera)
    assert float(chord.max()) > 79.9
    assert float((ours - chord).abs().mean()) < 0.005 * 80.0


def test_slab_of_a_box_by_hand() -> None:
    # Seen head-on, the middle ray of a box 40 mm deep runs 40 mm; a ray 10 mm aside in the plane 590 mm from the
    # focus is longer by sqrt(1 + (10 / 590)^2), for it leaves through the far face, 20 mm behind.
    camera = ConeBeam((25, 25), (-12.5, 12.5, -12.5, 12.5), distance=700.0, gap=110.0)
    ours = path_length([mesh(trimesh.creation.box((100.0, 40.0, 100.0)))], camera)
    assert float(ours[12, 12]) == pytest.approx(40.0, rel=1e-12)
    assert float(ours[12, 22]) == pytest.approx(40.0 * np.sqrt(1 + (10 / 590) ** 2), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [0, 1])
def test_signs_cancel_exactly_in_closed_meshes(kind: int, dtype: torch.dtype) -> None:
    camera = cameras((96, 80))[kind]
    shapes = [make() for make in SHAPES.values()]
    # Needles and flakes, edges on pixel centres and faces edge-on: where a tie rule shows.
    shapes += [
        trimesh.creation.box((1e-3, 80.0, 90.0)),
        trimesh.creation.icosphere(subdivisions=4, radius=1.0),
    ]
    flat = type(camera)(camera.size, (-40.0, 40.0, -48.0, 48.0), distance=600.0, gap=100.0)
    for shape in [*shapes, trimesh.creation.box((40.0, 40.0, 40.0)), trimesh.creation.box((41.0, 0.0, 41.0))]:
        vertices, faces = tensors(shape, dtype)
        for view in (camera, flat):
            _, signs = signed_depths(
                view.edges(vertices), faces, torch.zeros(len(faces), dtype=torch.int64), 1, view
            )
            assert not signs.any()


def test_float32_agrees_with_float64() -> None:
    shape = bumpy()
    for camera in cameras((128, 128)):
        double = path_length(tensors(shape), camera)
        single = path_length(tensors(shape, torch.float32), camera)
        assert single.dtype == torch.float32
        error = (single.double() - double).abs()
        assert float(error.mean()) < 1e-4
        assert float(error.max()) < 0.05


def test_batch_equals_one_by_one() -> None:
    vertices, faces = tensors(bumpy())
    batch = torch.stack([vertices, 0.8 * vertices, vertices + torch.tensor([5.0, -9.0, 3.0])])
    for camera in cameras():
        both = path_length((batch, faces), camera)
        assert both.shape == (3, 48, 48)
        for index in range(3):
            assert torch.equal(both[index], path_length((batch[index], faces), camera))


def test_batch_of_poses_equals_one_by_one() -> None:
    turns = torch.tensor([[1.0, 2.0, 3.0], [-4.0, 15.0, -6.0]], dtype=torch.float64)
    shape = mesh(bumpy())
    both = material_maps([shape], ConeBeam((32, 32), BOX, rotation=turns))
    for index in range(2):
        one = material_maps([shape], ConeBeam((32, 32), BOX, rotation=turns[index]))
        assert torch.equal(both["cortex"][index], one["cortex"])
        assert torch.equal(both["air"][index], one["air"])


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("name", ["box", "blob"])
def test_gradient_towards_vertices_equals_differences(name: str, kind: int) -> None:
    shape = trimesh.creation.icosphere(subdivisions=1, radius=40.0) if name == "blob" else SHAPES[name]()
    vertices, faces = tensors(shape)
    vertices = vertices + torch.from_numpy(np.random.default_rng(3).normal(0, 2, vertices.shape))
    camera = cameras((24, 24))[kind]
    weight = torch.from_numpy(np.random.default_rng(4).normal(size=(24, 24)))

    def loss(points: torch.Tensor) -> torch.Tensor:
        return (weight * path_length((points, faces), camera)).sum()

    points = vertices.clone().requires_grad_()
    loss(points).backward()
    assert points.grad is not None
    differences = torch.zeros_like(vertices)
    for index in np.ndindex(*vertices.shape):
        step = torch.zeros_like(vertices)
        step[index] = 1e-6
        differences[index] = (loss(vertices + step) - loss(vertices - step)) / 2e-6
    error = (points.grad - differences).norm() / differences.norm()
    assert float(error) < 1e-4


@pytest.mark.parametrize("kind", [ConeBeam, SlotScanner])
def test_gradient_towards_the_pose_equals_differences(kind: type[ConeBeam]) -> None:
    surface = tensors(bumpy())
    weight = torch.from_numpy(np.random.default_rng(5).normal(size=(32, 32)))

    def loss(pose: torch.Tensor) -> torch.Tensor:
        camera = kind((32, 32), BOX, distance=700.0, gap=200.0, rotation=pose[:3], shift=pose[3:])
        return (weight * path_length(surface, camera)).sum()

    pose = torch.tensor([3.0, -8.0, 12.0, 4.0, -6.0, 2.0], dtype=torch.float64, requires_grad=True)
    loss(pose).backward()
    assert pose.grad is not None
    for index in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[index] = 1e-6
        difference = float(loss(pose.detach() + step) - loss(pose.detach() - step)) / 2e-6
        assert float(pose.grad[index]) == pytest.approx(difference, rel=1e-4, abs=1e-4)


def test_gradient_of_a_moved_face_by_hand() -> None:
    # Pushing the whole far face of a box back by 1 mm lengthens the middle ray by 1 mm.
    vertices, faces = tensors(trimesh.creation.box((40.0, 20.0, 40.0)))
    vertices.requires_grad_()
    camera = ConeBeam((3, 3), (-3.0, 3.0, -3.0, 3.0))
    path_length((vertices, faces), camera)[1, 1].backward()
    back = vertices.detach()[:, 1] < 0
    assert vertices.grad is not None
    assert float(vertices.grad[back, 1].sum()) == pytest.approx(-1.0)
    assert float(vertices.grad[~back, 1].sum()) == pytest.approx(1.0)


def test_materials_displace_one_another() -> None:
    outer, inner = trimesh.creation.box((40.0, 30.0, 40.0)), trimesh.creation.box((20.0, 10.0, 20.0))
    maps = material_maps(
        [mesh(outer, "skin", "fat", "air"), mesh(inner, "rib", "cortex", "fat")],
        ConeBeam((3, 3), (-3.0, 3.0, -3.0, 3.0)),
    )
    assert {name: round(float(path[1, 1]), 9) for name, path in maps.items()} == {
        "air": 1800.0,
        "fat": 20.0,
        "cortex": 10.0,
    }
    assert maps.repaired == 0


def test_maps_sum_to_the_length_of_the_rays() -> None:
    meshes = [
        mesh(bumpy(), "skin", "fat", "air"),
        mesh(trimesh.creation.icosphere(radius=20.0), "gas", "air", "fat"),
    ]
    for camera in cameras():
        maps = material_maps(meshes, camera)
        assert torch.allclose(sum(maps.values(), torch.zeros(())), camera.ray_length())


def test_projected_middle_of_a_small_ball_is_where_its_shadow_is() -> None:
    middle = torch.tensor([20.0, 15.0, 30.0], dtype=torch.float64)
    ball = trimesh.creation.icosphere(subdivisions=3, radius=4.0)
    ball.vertices += middle.numpy()
    rows, columns = torch.meshgrid(torch.arange(200.0), torch.arange(200.0), indexing="ij")
    for camera in cameras((200, 200)):
        shadow = path_length([mesh(ball)], camera)
        centre = [float((shadow * grid).sum() / shadow.sum()) for grid in (columns, rows)]
        assert camera.project(middle).tolist() == pytest.approx(centre, abs=0.05)


def test_mesh_beyond_the_film_is_cropped() -> None:
    camera, narrow = (
        ConeBeam((size, size), (-size / 2, size / 2, -size / 2, size / 2)) for size in (120, 20)
    )
    shape = [mesh(trimesh.creation.icosphere(subdivisions=3, radius=40.0))]
    assert torch.allclose(path_length(shape, camera)[50:70, 50:70], path_length(shape, narrow), atol=1e-9)
    away = trimesh.creation.icosphere(radius=5.0)
    away.vertices += [300.0, 0.0, 0.0]
    assert not path_length([mesh(away)], camera).any()


def test_holes_and_flipped_faces_are_refused_by_name() -> None:
    good = mesh(bumpy(), "T8")
    hole = Mesh("T7", "cortex", "soft", good.vertices, good.faces[1:])
    flipped = Mesh("T7", "cortex", "soft", good.vertices, torch.cat([good.faces[:1].flip(1), good.faces[1:]]))
    inside_out = Mesh("T7", "cortex", "soft", good.vertices, good.faces.flip(1))
    for bad, words in ((hole, "holes"), (flipped, "flipped faces"), (inside_out, "inside out")):
        for render in (path_length, material_maps):
            with pytest.raises(AasceError, match=f"mesh 'T7': .*{words}") as error:
                render([good, bad], cameras()[0])
            assert "\n" not in str(error.value)


def test_hole_given_as_tensors_is_repaired_without_gradient(caplog: pytest.LogCaptureFixture) -> None:
    vertices, faces = tensors(trimesh.creation.icosphere(subdivisions=3, radius=40.0))
    camera = ConeBeam((48, 48), BOX)
    whole = path_length((vertices, faces), camera)
    front = int(vertices[faces].mean(1)[:, 1].argmax())
    opened = torch.cat([faces[:front], faces[front + 1 :]])
    vertices.requires_grad_()
    with caplog.at_level(logging.WARNING, logger="aasce"):
        mended = path_length((vertices, opened), camera)
    assert "pixels without a closed surface" in caplog.text
    difference = (mended - whole).detach().abs()
    changed = difference > 1e-9
    assert 0 < int(changed.sum()) < 20
    assert float(difference.max()) < 4.0
    (mended * changed).sum().backward()
    assert vertices.grad is not None
    assert not vertices.grad.any()


def test_source_inside_the_body_names_the_mesh() -> None:
    skin = mesh(trimesh.creation.icosphere(radius=900.0), "skin", "fat", "air")
    with pytest.raises(AasceError, match="skin: the source is inside the body"):
        material_maps([mesh(bumpy()), skin], ConeBeam((16, 16), BOX, distance=800.0, gap=100.0))


def test_body_through_the_film_is_told() -> None:
    with pytest.raises(AasceError, match="T7: reaches 20 mm through the film; give a gap above 40 mm"):
        material_maps([mesh(trimesh.creation.box((80.0, 80.0, 80.0)))], ConeBeam((16, 16), BOX, gap=20.0))


def test_unknown_material_is_told_with_the_nearest() -> None:
    with pytest.raises(AasceError, match="did you mean 'cortex'"):
        material_maps([mesh(bumpy(), material="cortx")], cameras()[0])


def test_nothing_to_render_is_told() -> None:
    with pytest.raises(AasceError, match="at least one"):
        path_length([], cameras()[0])
