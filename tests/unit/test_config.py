"""Strict settings: every wrong line is reported, and the nearest right name with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator, model_validator

from aasce.config import Settings, dump_settings, load_settings, nearest, read_yaml, setting_names
from aasce.types import AasceError


class Train(Settings):
    lr: float = 1e-3
    epochs: int = 10
    folder: Path = Path("runs")

    @field_validator("epochs")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("epochs is at least 1")
        return value


class Model(Settings):
    size: tuple[int, int] = (512, 256)
    amp: bool = False
    train: Train = Train()
    second: Train | None = None

    @model_validator(mode="after")
    def _upright(self) -> Model:
        if self.size[0] < self.size[1]:
            raise ValueError("a film is at least as high as wide")
        return self


class Named(Settings):
    name: str


def lines(
    path: Path | None = None, overrides: tuple[str, ...] = (), cls: type[Settings] = Model
) -> list[str]:
    with pytest.raises(AasceError) as caught:
        load_settings(cls, path, overrides)
    return str(caught.value).splitlines()


def test_defaults_without_file() -> None:
    assert load_settings(Model, None) == Model()


def test_dump_is_read_back_to_the_same_settings(tmp_path: Path) -> None:
    settings = Model(size=(640, 320), train=Train(lr=float("inf"), folder=Path("a b")), second=Train(lr=2e-7))
    path = tmp_path / "config.yaml"
    path.write_text(dump_settings(settings), encoding="utf-8")
    assert load_settings(Model, path) == settings


def test_dump_keeps_the_order_of_the_class() -> None:
    keys = [line.split(":")[0] for line in dump_settings(Model()).splitlines() if line[0] not in " -"]
    assert keys == ["size", "amp", "train", "second"]


def test_override_wins_over_file_and_the_last_over_the_first(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("train:\n  lr: 0.5\n  epochs: 3\n")
    settings = load_settings(Model, path, ["train.lr=1e-4", "train.lr=2e-4", "size=[300, 200]", "amp=true"])
    assert settings == Model(size=(300, 200), amp=True, train=Train(lr=0.0002, epochs=3))


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("-1E+2", -100.0), ("3", 3.0), ("2.5", 2.5), (".inf", float("inf"))]
)
def test_numbers_as_people_write_them(text: str, value: float) -> None:
    assert load_settings(Model, None, [f"train.lr={text}"]).train.lr == value


def test_override_opens_an_optional_part() -> None:
    assert load_settings(Model, None, ["second.epochs=2"]).second == Train(epochs=2)
    assert load_settings(Model, None, ["second.epochs=2", "second=null"]).second is None


def test_unknown_key_names_the_nearest() -> None:
    assert lines(overrides=("train.epoch=3",)) == [
        "--set: a setting is wrong; correct it:",
        "  train.epoch: unknown setting (did you mean 'epochs'?)",
    ]


def test_unknown_key_in_an_optional_part_names_the_nearest() -> None:
    assert lines(overrides=("second.epohcs=3",))[1] == (
        "  second.epohcs: unknown setting (did you mean 'epochs'?)"
    )


def test_key_of_another_place_names_that_place() -> None:
    assert lines(overrides=("lr=3",))[1] == "  lr: unknown setting (did you mean 'train.lr'?)"


def test_the_same_name_further_inside_is_nearer_than_another_one_beside() -> None:
    """`options` stands beside, but `epochs` is what was written."""
    assert lines(overrides=("group.epochs=3",), cls=Nested)[1] == (
        "  group.epochs: unknown setting (did you mean 'group.train.epochs'?)"
    )


def test_unknown_key_near_nothing_lists_what_exists() -> None:
    assert lines(overrides=("zzz=3",))[1] == "  zzz: unknown setting; known: size, amp, train, second"


def test_all_errors_at_once_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("sise: [1, 2]\namp: 3\ntrain:\n  lr: fast\n  epochs: 0\n")
    found = lines(path, ("noequals", "size=[1"))
    assert found[0] == f"{path}: 6 settings are wrong; correct it:"
    assert found[1] == "  --set noequals: is written key=value, or outer.inner=value"
    assert found[2].startswith("  --set size=[1: value is no YAML that can be read at line 1, column 3")
    assert sorted(line.split(":")[0].strip() for line in found[3:]) == [
        "amp",
        "sise",
        "train.epochs",
        "train.lr",
    ]
    assert "  train.epochs: epochs is at least 1, not 0" in found
    assert any(line.startswith("  train.lr:") and line.endswith("not 'fast'") for line in found)


def test_values_of_another_type_are_not_converted() -> None:
    assert lines(overrides=("train.epochs='3'",))[1].endswith("not '3'")
    assert lines(overrides=("amp=1",))[1].endswith("not 1")
    assert lines(overrides=("train.epochs=2.0",))[1].endswith("not 2.0")


def test_long_values_are_cut() -> None:
    assert lines(overrides=("amp=" + "x" * 200,))[1].endswith("xxx...")


def test_rule_over_the_whole() -> None:
    assert lines(overrides=("size=[1, 2]",))[1] == "  settings: a film is at least as high as wide"


def test_missing_setting() -> None:
    assert lines(cls=Named) == ["settings: a setting is wrong; correct it:", "  name: is missing"]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Model().amp = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1", "line 1"),
        (b"train:\n  lr: 1\n  lr: 2\n", "line 3, column 3: key 'lr' is given twice"),
        (b"- 1\n", "holds a list"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"a: !!python/object:os.system x\n", "could not determine a constructor"),
    ],
)
def test_unreadable_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(AasceError) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_one_line_that_names_it(tmp_path: Path) -> None:
    found = lines(tmp_path / "none.yaml")
    assert len(found) == 1
    assert "none.yaml: cannot be read" in found[0]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epochs={{x}}", "a key is no name"),
        ("train={1: 2}", "a key is no name"),
        ("seed={? [1] : 2}", "a key is no name"),
        ("train.epochs=&a [*a]", "hold themselves"),
        ("seed=1e23", "seed: input should be a valid integer"),
        ("train.epochs=-5", "train.epochs: input should be greater than or equal to 0"),
    ],
)
def test_yaml_that_is_no_setting_is_said(override: str, said: str) -> None:
    from aasce.solvers.vertebra_field.settings import VertebraFieldConfig

    with pytest.raises(AasceError, match=said):
        load_settings(VertebraFieldConfig, None, [override])


def test_empty_file_means_defaults(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("# nothing\n")
    assert load_settings(Model, path) == Model()


def test_nearest() -> None:
    assert nearest("seg4rag", ["constant", "seg4reg"]) == " (did you mean 'seg4reg'?)"
    assert nearest("unet", ["constant", "seg4reg"]) == ""


def test_setting_names_go_inward() -> None:
    assert list(setting_names(Model))[:5] == ["size", "amp", "train", "train.lr", "train.epochs"]


class Group(Settings):
    train: Train = Train(epochs=7)
    options: dict[str, int] = Field(default_factory=lambda: {"a": 1})


class Nested(Settings):
    group: Group = Group(train=Train(epochs=11), options={"b": 2})


def test_a_setting_of_a_group_leaves_the_groups_other_defaults() -> None:
    """The defaults of the group where it stands, not those of its class."""
    assert Nested().group.train.epochs == 11
    changed = load_settings(Nested, None, ["group.train.lr=0.5"]).group
    assert (changed.train.lr, changed.train.epochs) == (0.5, 11)
    assert changed.options == {"b": 2}


def test_a_free_mapping_is_replaced_as_a_whole() -> None:
    assert load_settings(Nested, None, ["group.options={c: 3}"]).group.options == {"c": 3}


class Plain(Settings):
    kind: Literal["plain"] = "plain"
    weight: float = Field(default=1.0, ge=0)


class Fancy(Settings):
    kind: Literal["fancy"] = "fancy"
    weight: float = Field(default=2.0, ge=0)
    rows: int = Field(default=8, ge=1)


class Choice(Settings):
    head: Annotated[Plain | Fancy, Field(discriminator="kind")] = Fancy(rows=5)
    start: bool | str = False
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = (1,)


def test_another_kind_has_its_own_defaults_and_the_same_kind_those_of_the_group(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("head:\n  kind: fancy\n  weight: 7.0\n  rows: 3\n")
    assert load_settings(Choice, None, ["head.weight=3.0"]).head == Fancy(weight=3.0, rows=5)
    assert load_settings(Choice, path, ["head.kind=fancy"]).head == Fancy(weight=7.0, rows=3)
    assert load_settings(Choice, path, ["head.kind=plain"]).head == Plain()
    assert load_settings(Choice, path, ["head={kind: plain, weight: 4.0}"]).head == Plain(weight=4.0)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "head={kind: plain, rows: 3}",
            "head.rows: unknown setting of kind plain; known: kind, weight",
        ),
        (
            "head={kind: plain, wieght: 3.0}",
            "head.wieght: unknown setting (did you mean 'weight'?)",
        ),
        ("head.kind=fanci", "head.kind: there is no 'fanci' (did you mean 'fancy'?); known: plain, fancy"),
        ("head.weight=-1.0", "head.weight: input should be greater than or equal to 0, not -1.0"),
        ("head=3", "head: input should be an object, not 3"),
        ("start=3", "start: input should be a valid boolean or a valid string, not 3"),
        ("sizes=[1, 0]", "sizes.1: input should be greater than or equal to 1, not 0"),
    ],
)
def test_faults_of_alternatives_are_one_line_with_the_keys_of_the_file(override: str, line: str) -> None:
    assert lines(overrides=(override,), cls=Choice)[1:] == [f"  {line}"]


def test_setting_names_hold_those_of_all_alternatives_once() -> None:
    assert list(setting_names(Choice)) == [
        "head", "head.kind", "head.weight", "head.rows", "start", "sizes",
    ]  # fmt: skip
