"""A volume's grid: world positions do not change by any operation on the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from aasce.types import AasceError
from aasce.volume import Volume

SHAPE = (13, 9, 11)
MARKER = (6, 4, 5)  # a voxel far enough from all faces


def oblique(seed: int) -> NDArray[np.float64]:
    """A turned, mirrored, sheared affine with spacings of 0.5 to 3 mm."""
    rng = np.random.default_rng(seed)
    axes = Rotation.random(random_state=seed).as_matrix() @ np.diag(rng.choice([-1.0, 1.0], 3))
    shear = np.eye(3) + np.triu(rng.uniform(-0.2, 0.2, (3, 3)), 1)
    affine = np.eye(4)
    affine[:3, :3] = axes @ shear * rng.uniform(0.5, 3, 3)
    affine[:3, 3] = rng.uniform(-300, 300, 3)
    return affine


def marked(seed: int, kind: str = "ct") -> tuple[Volume, NDArray[np.float64]]:
    """A volume with one bright block of 3 voxels a side, and the world position of its middle."""
    data = np.zeros(SHAPE, np.float32 if kind == "ct" else np.uint8)
    data[MARKER[0] - 1 : MARKER[0] + 2, MARKER[1] - 1 : MARKER[1] + 2, MARKER[2] - 1 : MARKER[2] + 2] = 100
    volume = Volume(data, oblique(seed), kind)  # type: ignore[arg-type]
    return volume, volume.to_world(MARKER)


def centroid(volume: Volume) -> NDArray[np.float64]:
    """World position of the middle of the bright voxels."""
    weight = volume.data.astype(np.float64).clip(0)
    index = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), -1)
    return volume.to_world((index * weight[..., None]).reshape(-1, 3).sum(0) / weight.sum())


@given(st.integers(0, 10_000), st.permutations(["LR", "PA", "IS"]), st.tuples(*[st.integers(0, 1)] * 3))
@settings(max_examples=60, deadline=None)
def test_reorient_moves_no_marker(seed: int, pairs: list[str], ends: tuple[int, int, int]) -> None:
    volume, world = marked(seed)
    codes = tuple(pair[end] for pair, end in zip(pairs, ends, strict=True))
    turned = volume.reorient(codes)
    assert turned.axcodes == codes
    assert np.allclose(centroid(turned), world, atol=1e-4)
    assert np.allclose(turned.reorient(volume.axcodes).affine, volume.affine, atol=1e-9)
    assert np.array_equal(turned.reorient(volume.axcodes).data, volume.data)


@given(st.integers(0, 10_000), st.lists(st.floats(0.4, 4.5), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_resample_moves_no_marker(seed: int, ratio: list[float]) -> None:
    volume, world = marked(seed)
    # An integer number of new voxels, so that the marker is not cut at the far side of the volume.
    spacing = volume.spacing * np.array(SHAPE) / np.rint(np.array(SHAPE) / ratio).clip(2)
    new = volume.resample(spacing.tolist(), order=1)
    assert np.allclose(new.spacing, spacing)
    # Linear interpolation on a coarse grid weighs the block's edges unevenly: a third of a voxel.
    assert np.linalg.norm(centroid(new) - world) < 0.34 * float(np.maximum(new.spacing, volume.spacing).max())


def test_resample_keeps_the_outer_faces() -> None:
    volume = Volume(np.zeros((4, 6, 8), np.float32), np.diag([2.0, 1, 1, 1]), "ct")
    new = volume.resample(0.5)
    assert new.shape == (16, 12, 16)
    # The first voxel's face stays at -1 mm: the middle of the first half millimetre lies at -0.75.
    assert new.to_world([0, 0, 0]).tolist() == [-0.75, -0.25, -0.25]


def test_resample_of_a_ramp_is_that_ramp() -> None:
    ramp = np.broadcast_to(np.arange(20, dtype=np.float32)[:, None, None], (20, 4, 4)).copy()
    new = Volume(ramp, np.eye(4), "mr").resample([0.25, 1, 1], order=1)
    inner = new.data[8:-8, 1, 1]
    assert np.allclose(
        inner, new.to_world(np.stack(np.broadcast_arrays(np.arange(8, 72), 1, 1), -1))[:, 0], atol=1e-4
    )


@given(st.integers(0, 10_000), st.tuples(*[st.integers(0, 4)] * 3), st.tuples(*[st.integers(0, 3)] * 3))
@settings(max_examples=60, deadline=None)
def test_crop_and_pad_move_no_marker(seed: int, low: tuple[int, ...], high: tuple[int, ...]) -> None:
    volume, world = marked(seed, "label")
    start = np.minimum(low, np.array(MARKER) - 1)
    stop = np.maximum(np.array(SHAPE) - high, np.array(MARKER) + 2)
    cropped = volume.crop(start, stop)
    assert cropped.shape == tuple(stop - start)
    assert np.allclose(centroid(cropped), world, atol=1e-6)
    back = cropped.pad(start, SHAPE - stop)
    assert np.allclose(back.affine, volume.affine)
    assert np.array_equal(back.data, volume.data)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_index_and_world_are_inverse(seed: int) -> None:
    volume, _ = marked(seed)
    points = np.random.default_rng(seed).uniform(-500, 500, (7, 3))
    assert np.allclose(volume.to_world(volume.to_index(points)), points, atol=1e-6)
    assert np.allclose(volume.to_world([0, 0, 0]), volume.affine[:3, 3])


def test_pad_of_a_ct_is_air() -> None:
    padded = Volume(np.zeros((2, 2, 2), np.float32), np.eye(4), "ct").pad((1, 0, 0), (0, 0, 0))
    assert padded.data[0, 0, 0] == -1000
    assert padded.to_world([1, 0, 0]).tolist() == [0, 0, 0]


def test_mirrored_affine_names_its_axes() -> None:
    volume = Volume(np.zeros((2, 3, 4), np.float32), np.diag([-1.0, -2, 3, 1]), "ct")
    assert volume.axcodes == ("L", "P", "S")
    assert volume.spacing.tolist() == [1, 2, 3]
    assert volume.reorient("SRA").shape == (4, 2, 3)


@pytest.mark.parametrize(
    ("data", "affine", "kind", "message"),
    [
        (np.zeros((2, 2)), np.eye(4), "ct", "three axes"),
        (np.zeros((2, 0, 2)), np.eye(4), "ct", "none empty"),
        (np.zeros((2, 2, 2)), np.zeros((4, 4)), "ct", "no \\(4, 4\\)"),
        (np.zeros((2, 2, 2)), np.diag([1.0, 1, 0, 1]), "ct", "one plane"),
        (np.zeros((2, 2, 2)), np.diag([1.0, np.nan, 1, 1]), "ct", "no \\(4, 4\\)"),
        (np.zeros((2, 2, 2)), np.eye(4), "label", "integers"),
        (np.zeros((2, 2, 2)), np.eye(4), "pet", "ct, mr, label"),
    ],
)
def test_what_is_no_volume_is_refused(
    data: NDArray[np.float64], affine: NDArray[np.float64], kind: str, message: str
) -> None:
    with pytest.raises(AasceError, match=message):
        Volume(data, affine, kind)  # type: ignore[arg-type]


def test_wrong_operations_are_refused() -> None:
    labels = Volume(np.ones((3, 3, 3), np.uint8), np.eye(4), "label")
    with pytest.raises(AasceError, match="use 0"):
        labels.resample(0.5, order=1)
    with pytest.raises(AasceError, match="one of R/L"):
        labels.reorient("RRS")
    with pytest.raises(AasceError, match="leaves nothing"):
        labels.crop((5, 0, 0), (9, 3, 3))
    with pytest.raises(AasceError, match="use crop"):
        labels.pad((-1, 0, 0), (0, 0, 0))
    with pytest.raises(AasceError, match="mm per voxel"):
        labels.resample(0)
    with pytest.raises(AasceError, match="coarser"):
        labels.resample(0.0015)
