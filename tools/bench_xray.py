"""Speed of the mesh renderer, and the registration experiment of its paper (Shetty et al. 2021, section 2.3).

    python -m tools.bench_xray speed
    python -m tools.bench_xray register --trials 20

`speed` renders a body at 1024x512 and compares with trimesh, which casts a sample of the same rays.
`register` moves a pelvis by up to 10 mm and rotates it by up to 5 degrees on every axis. It then finds the pose by
gradient descent on the gradient correlation with a noisy film of the true pose: first with the shape known, then
starting from the mean shape of other persons' pelvises and finding shape and pose together, as in the paper, along the
principal components of these shapes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
import trimesh
import typer
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA

from aasce.phantom.person import build_person, draw_person
from aasce.xray.camera import ConeBeam
from aasce.xray.mesh import Mesh
from aasce.xray.raster import material_maps
from aasce.xray.similarity import multiscale_gradient_correlation
from aasce.xray.transmission import Spectrum, transmission, tungsten_spectrum

Points = NDArray[np.float64]
Box = tuple[float, float, float, float]

SPREAD = (3.0, 3.0, 3.0, 6.0, 6.0, 6.0)
"""Standard deviations of the drawn poses: degrees, then mm."""

PRIOR = 0.02
"""Weight of the prior if the shape is found together with the pose."""

PEOPLE, FIRST_OF_PEOPLE = 80, 10_000
"""Number of persons in the shape model, and seed of the first one; none of them is registered."""

COMPONENTS = 20
"""Number of principal components of the shape model."""


def body() -> list[Mesh]:
    """All meshes of one person, float32."""
    return build_person(draw_person(0)).meshes


def pelvis(seed: int) -> list[Mesh]:
    """Hip bones, sacrum, L4 and L5 of one adult in a block of soft tissue, as in the paper's experiment."""
    meshes = build_person(draw_person(seed, "adults")).meshes
    names = ("hip", "S1", "L5", "L4")
    block = trimesh.creation.icosphere(subdivisions=4)
    block.vertices = block.vertices * (200, 130, 210) + (0, 10, -60)
    soft = Mesh(
        "soft", "soft", "air", torch.tensor(block.vertices, dtype=torch.float32), torch.tensor(block.faces)
    )
    return [soft, *(mesh for mesh in meshes if mesh.name.startswith(names))]


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shape model of the pelvis: a mean shape and its principal components.

    Attributes:
        template: meshes of the mean.
        changes: (K, N, 3) mm, displacement of all vertices by one standard deviation of each component.
    """

    template: list[Mesh]
    changes: torch.Tensor

    @classmethod
    def known(cls, meshes: list[Mesh]) -> Shapes:
        """A single shape without components."""
        return cls(meshes, torch.zeros(0, sum(len(mesh.vertices) for mesh in meshes), 3))

    @classmethod
    def of(cls, people: Sequence[Sequence[Mesh]], count: int) -> Shapes:
        """Mean and principal components of meshes with corresponding vertices."""
        vertices = torch.stack([torch.cat([mesh.vertices for mesh in one]) for one in people])
        found = PCA(min(count, len(people)), svd_solver="full").fit(vertices.flatten(1).numpy())
        changes = np.sqrt(found.explained_variance_)[:, None] * found.components_
        mean, changes = (torch.as_tensor(part).to(vertices) for part in (found.mean_, changes))
        shape = vertices.shape[1:]
        return cls(_with_vertices(people[0], mean.reshape(shape)), changes.unflatten(1, shape))

    def at(self, weights: torch.Tensor) -> list[Mesh]:
        """The pelvis of (K,) weights, in standard deviations."""
        mean = torch.cat([mesh.vertices for mesh in self.template])
        return _with_vertices(self.template, mean + torch.einsum("k,knd->nd", weights, self.changes))


def _with_vertices(meshes: Sequence[Mesh], vertices: torch.Tensor) -> list[Mesh]:
    parts = vertices.split([len(mesh.vertices) for mesh in meshes])
    return [replace(mesh, vertices=part) for mesh, part in zip(meshes, parts, strict=True)]


def measure_speed(meshes: Sequence[Mesh], camera: ConeBeam, repeats: int = 10) -> dict[str, float]:
    """Seconds per film (median) of wall and of processor time, forward, and forward with backward."""
    spectrum = tungsten_spectrum(90, 3.0)
    leaves = [Mesh(m.name, m.material, m.inside, m.vertices.clone(), m.faces) for m in meshes]
    result = {}
    for name, gradient in (("forward", False), ("forward and backward", True)):
        for mesh in leaves:
            mesh.vertices.requires_grad_(gradient)
        walls, busy = [], []
        for _ in range(repeats + 1):
            wall, cpu = time.perf_counter(), time.process_time()
            signal = transmission(material_maps(leaves, camera), spectrum)
            if gradient:
                signal.sum().backward()
            walls.append(time.perf_counter() - wall)
            busy.append(time.process_time() - cpu)
        result[f"{name}, wall"] = float(np.median(walls[1:]))
        result[f"{name}, processor"] = float(np.median(busy[1:]))
    return result


def cast_seconds(meshes: Sequence[Mesh], camera: ConeBeam, rays: int = 300) -> float:
    """Processor seconds that trimesh needs for all rays of a film through all meshes, estimated from a sample of rays.

    The time to build the search trees is not included.
    """
    origin, direction = (array.reshape(-1, 3).numpy() for array in camera.rays())
    chosen = np.random.default_rng(0).choice(len(origin), rays, replace=False)
    shapes = [trimesh.Trimesh(m.vertices.numpy(), m.faces.numpy(), process=False) for m in meshes]
    for shape in shapes:
        _ = shape.ray.intersects_id(origin[:1], direction[:1], multiple_hits=True)
    begin = time.process_time()
    for shape in shapes:
        shape.ray.intersects_id(origin[chosen], direction[chosen], multiple_hits=True, return_locations=True)
    return (time.process_time() - begin) * len(origin) / rays


@dataclass(frozen=True, slots=True)
class Registration:
    """Errors in mm and similarity of one trial, before and after the registration."""

    hausdorff: tuple[float, float]
    landmarks: tuple[float, float]
    similarity: tuple[float, float]


def landmarks_of(meshes: Sequence[Mesh]) -> torch.Tensor:
    """Six extreme vertices of every bone, on which the landmark error is measured."""
    chosen = []
    for mesh in meshes:
        if mesh.material == "cortex":
            chosen += [mesh.vertices[pick(mesh.vertices, dim=0)] for pick in (torch.argmin, torch.argmax)]
    return torch.cat(chosen)


def bones_of(meshes: Sequence[Mesh]) -> torch.Tensor:
    """All vertices of the bones' surfaces."""
    return torch.cat([mesh.vertices for mesh in meshes if mesh.material == "cortex"])


def hausdorff(first: Points, second: Points) -> float:
    """Symmetric Hausdorff distance in mm of two clouds of vertices."""
    there = cKDTree(second).query(first)[0].max()
    back = cKDTree(first).query(second)[0].max()
    return float(max(there, back))


@dataclass(frozen=True, slots=True)
class Scene:
    """What is registered, and how it is filmed.

    Attributes:
        shapes: float32; without components, one known shape.
        truth: the meshes on the film, of the same names.
        box: field of view, see `ConeBeam`.
        size: (H, W) of the finest film.
        spectrum: of the open beam.
    """

    shapes: Shapes
    truth: Sequence[Mesh]
    box: Box
    size: tuple[int, int]
    spectrum: Spectrum

    def film(self, meshes: Sequence[Mesh], pose: torch.Tensor, scale: int) -> torch.Tensor:
        """(H, W) -log of the transmission behind meshes moved by a pose, on a film `scale` times as small."""
        size = (self.size[0] // scale, self.size[1] // scale)
        maps = material_maps(meshes, _camera(self.box, size, pose))
        return -transmission(maps, self.spectrum).log()

    def errors(self, pose: torch.Tensor, weights: torch.Tensor) -> tuple[float, float]:
        """Hausdorff distance of the bones and mean distance of the landmarks from the truth, mm."""
        formed = self.shapes.at(weights)
        bones, points = (_moved(self.box, self.size, of(formed), pose) for of in (bones_of, landmarks_of))
        distance = (points - landmarks_of(self.truth)).norm(dim=-1).mean()
        return hausdorff(bones_of(self.truth).numpy(), bones.numpy()), float(distance)


def register(
    shapes: Shapes,
    truth: Sequence[Mesh],
    box: Box,
    rng: np.random.Generator,
    size: tuple[int, int] = (256, 256),
    steps: Sequence[int] = (60, 60, 60),
    photons: float = 20_000.0,
) -> Registration:
    """Moves the mean of the shapes at random and registers it to the film of the true meshes, coarse to fine.

    Args:
        shapes, truth, box, size: see `Scene`.
        rng: draws the pose and the noise.
        steps: of gradient descent on each scale, the coarsest first.
        photons: in a pixel of the finest film's open beam; the target's quantum noise.
    """
    scene = Scene(shapes, truth, box, size, tungsten_spectrum(80, 3.0, bins=8))
    drawn = np.concatenate([rng.uniform(-5, 5, 3), rng.uniform(-10, 10, 3)])
    start = torch.tensor(drawn, dtype=torch.float32)
    pose, weights = start.clone().requires_grad_(), torch.zeros(len(shapes.changes), requires_grad=True)
    similarity: list[float] = []
    for stage, count in enumerate(steps):
        scale = 2 ** (len(steps) - 1 - stage)
        with torch.no_grad():
            clean = scene.film(truth, torch.zeros(6), scale)
        target = _noisy(clean, photons * scale**2, rng)
        similarity += _descend(scene, target, pose, weights, scale, count, 0.8 / 2**stage)
    with torch.no_grad():
        before = scene.errors(start, torch.zeros_like(weights))
        after = scene.errors(pose.detach(), weights.detach())
    return Registration((before[0], after[0]), (before[1], after[1]), (similarity[0], similarity[-1]))


def _descend(
    scene: Scene,
    target: torch.Tensor,
    pose: torch.Tensor,
    weights: torch.Tensor,
    scale: int,
    count: int,
    rate: float,
) -> list[float]:
    """Moves pose and weights by `count` steps of gradient descent on one scale; the similarity before each step."""
    fitted = [pose, weights] if len(weights) else [pose]
    descent = torch.optim.Adam([{"params": [one], "lr": rate} for one in fitted], betas=(0.8, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(descent, count, eta_min=rate / 20)
    similarity = []
    for _ in range(count):
        descent.zero_grad()
        film = scene.film(scene.shapes.at(weights), pose, scale)
        alike = multiscale_gradient_correlation(film, target, 2)
        loss = 1 - alike
        if len(weights):
            # A single view determines depth poorly: the prior keeps undetermined numbers near the mean.
            prior = (pose / pose.new_tensor(SPREAD)).square().mean() + weights.square().mean()
            loss = loss + PRIOR * prior
        loss.backward()
        descent.step()
        schedule.step()
        similarity.append(float(alike.detach()))
    return similarity


def _camera(box: Box, size: tuple[int, int], pose: torch.Tensor) -> ConeBeam:
    """Geometry of a fluoroscope, with smaller distances than for a long film."""
    return ConeBeam(size, box, distance=1200.0, gap=300.0, rotation=pose[:3], shift=pose[3:])


def _noisy(film: torch.Tensor, photons: float, rng: np.random.Generator) -> torch.Tensor:
    """A film -log(I) with quantum noise."""
    counts = np.maximum(rng.poisson(photons * np.exp(-film.numpy().astype(np.float64))), 0.5)
    return torch.from_numpy(-np.log(counts / photons)).to(film)


def _moved(box: Box, size: tuple[int, int], points: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Points (N, 3) mm of the world, moved by a pose."""
    return _camera(box, size, torch.zeros(6)).unplace(_camera(box, size, pose).place(points))


app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def speed(
    rays: Annotated[int, typer.Option(help="Rays of the sample that trimesh casts.")] = 300,
    threads: Annotated[int, typer.Option(help="Threads of the renderer.")] = 1,
) -> None:
    """Films per second at 1024x512, and the ratio to trimesh's rays."""
    torch.set_num_threads(threads)
    meshes = body()
    camera = ConeBeam((1024, 512), (-225.0, 225.0, -200.0, 700.0), gap=200.0)
    print(
        f"{len(meshes)} meshes, {sum(len(mesh.faces) for mesh in meshes)} faces, load {os.getloadavg()[0]:.1f}"
    )
    figures = measure_speed(meshes, camera)
    for name, seconds in figures.items():
        print(f"{name}: {seconds:.3f} s, {1 / seconds:.1f} films/s")
    cast = cast_seconds(meshes, camera, rays)
    print(f"trimesh rays, processor: {cast:.0f} s, {cast / figures['forward, processor']:.0f} times ours")


@app.command(name="register")
def register_trials(
    trials: Annotated[int, typer.Option(help="Random poses.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the poses.")] = 0,
    first: Annotated[int, typer.Option(help="Seed of the first person registered.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of the renderer.")] = 1,
) -> None:
    """Hausdorff distance and landmark error before and after registration."""
    torch.set_num_threads(threads)
    box = (-200.0, 200.0, -270.0, 130.0)
    people = Shapes.of([pelvis(FIRST_OF_PEOPLE + k) for k in range(PEOPLE)], COMPONENTS)
    for title, same in (("shape known", True), ("shape found with the pose", False)):
        rng = np.random.default_rng(seed)
        truths = [pelvis(first + k) for k in range(trials)]
        done = [register(Shapes.known(truth) if same else people, truth, box, rng) for truth in truths]
        print(title)
        for name in ("hausdorff", "landmarks", "similarity"):
            values = np.array([getattr(one, name) for one in done])
            before, after = (f"{values[:, i].mean():.2f} +- {values[:, i].std():.2f}" for i in (0, 1))
            print(f"  {name}: before {before}, after {after}")


if __name__ == "__main__":
    app()
