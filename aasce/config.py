"""YAML to checked settings, overrides, and the text of what is wrong.

Settings are strict: an unknown key is an error that names the nearest right one, and all errors are reported at
once. Defaults live in the class; a file in configs/ is complete; nothing is inherited between files. A group of
settings that is one of several alternatives has a key `kind` that says which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from aasce.types import AasceError

S = TypeVar("S", bound="Settings")

KIND = "kind"
"""Setting that says which of several alternatives a group of settings is (a tagged union)."""

SHOULD = "input should be "

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole."""

Count = Annotated[int, Field(ge=1, le=100_000)]
"""How many of something there are, at least one."""

Weight = Annotated[float, Field(ge=0, le=1e6)]
"""Weight of a term of a sum, or another number that is not negative."""

Positive = Annotated[float, Field(gt=0, le=1e6)]
"""A number above zero."""

Degrees = Annotated[float, Field(ge=0, le=180)]
"""An angle, or the spread of one."""


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the smaller number comes first")
    return pair


Range = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]
"""Least and largest of a number that is drawn between them."""

Side = Annotated[int, Field(ge=32, le=8192)]
Size = tuple[Side, Side]
"""(H, W) px of a canvas."""


class Settings(BaseModel):
    """Base of every settings class: frozen; refuses unknown keys and values of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, ser_json_inf_nan="constants")


def load_settings(cls: type[S], path: Path | None, overrides: Sequence[str] = ()) -> S:
    """Reads settings from a YAML file, changed by overrides; what neither names keeps its default.

    Inside a group of settings, too: where a solver's `train` is not that of the class, naming its `epochs` alone
    leaves the solver's other choices as they are. A group of another `kind` has the defaults of that kind.

    Args:
        cls: the settings class.
        path: YAML file, None for the defaults.
        overrides: "key.inner=value" each, as of `--set`; the value is read as YAML, the last one wins.

    Raises:
        AasceError: the file cannot be read, or one line for each unknown key and each wrong value.
    """
    raw = {} if path is None else read_yaml(path)
    errors = _apply(raw, overrides)
    for name, field in cls.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if name in raw:
            raw[name] = _over(default, raw[name])
    settings: S | None = None
    try:
        # Through JSON, where strict settings take a list for a tuple and text for a path, as YAML has them.
        settings = cls.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        errors += _lines(cls, error.errors(include_url=False))
    except (ValueError, RecursionError):  # an anchor (&a) within what it names
        errors.append("the settings hold themselves; write each value out")
    if settings is None or errors:
        raise AasceError(_message(path, overrides, errors))
    return settings


def _over(default: Any, given: Any) -> Any:
    """What is given of a group of settings, over the group's own defaults; anything else as it is given."""
    if not (isinstance(default, Settings) and isinstance(given, dict)):
        return given
    if given.get(KIND, getattr(default, KIND, None)) != getattr(default, KIND, None):
        return given  # another kind has other settings
    inner = {name: _over(getattr(default, name, None), value) for name, value in given.items()}
    return default.model_dump(mode="json") | inner


def dump_settings(settings: Settings) -> str:
    """YAML of all settings in the class's order; `load_settings` reads it back to an equal object."""
    body = settings.model_dump(mode="json")
    return str(yaml.dump(body, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


class _Dumper(yaml.SafeDumper):
    """Safe YAML with a line for each key and a list of plain values in one line."""


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    plain = not any(isinstance(value, list | dict) for value in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)


_Dumper.add_representer(list, _represent_list)


def nearest(name: str, options: Iterable[str]) -> str:
    """Points to the option nearest to a wrong name: " (did you mean 'x'?)", or "" when none is near."""
    found = get_close_matches(name, list(options), n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; an empty file gives an empty one.

    Raises:
        AasceError: the file is missing, is no YAML, names a key twice or holds no mapping.
    """
    try:
        raw = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise AasceError(
            f"{path}: cannot be read ({error.strerror}); name a YAML file of settings"
        ) from error
    except UnicodeDecodeError as error:
        raise AasceError(f"{path}: is no text; settings are a YAML file in UTF-8") from error
    except yaml.YAMLError as error:
        raise AasceError(f"{path}: {_yaml_fault(error)}") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise AasceError(
            f"{path}: holds a {type(raw).__name__}; settings are a mapping of 'key: value' lines"
        )
    return raw


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 1e-4 as a number (YAML 1.1 wants 1.0e-4) and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(problem="a key is no name", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key.value!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _yaml_fault(error: yaml.YAMLError) -> str:
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"is no YAML that can be read{where}: {problem}"


def _apply(raw: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    """Writes "a.b=value" overrides into the mapping; returns one line for each that is malformed."""
    errors = []
    for text in overrides:
        key, equals, value = text.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            errors.append(f"--set {text}: is written key=value, or outer.inner=value")
            continue
        try:
            _put(raw, parts, yaml.load(value, _Loader))
        except yaml.YAMLError as error:
            errors.append(f"--set {text}: value {_yaml_fault(error)}")
    return errors


def _put(raw: dict[str, Any], parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        if not isinstance(raw.get(part), dict):
            raw[part] = {}
        raw = raw[part]
    if parts[-1] == KIND and raw.get(KIND) != value:
        raw.clear()  # another kind has other settings
    raw[parts[-1]] = value


def _message(path: Path | None, overrides: Sequence[str], errors: list[str]) -> str:
    source = str(path) if path is not None else "--set" if overrides else "settings"
    count = f"{len(errors)} settings are wrong" if len(errors) > 1 else "a setting is wrong"
    return "\n".join([f"{source}: {count}; correct it:", *(f"  {line}" for line in errors)])


def _lines(cls: type[Settings], details: Iterable[Any]) -> list[str]:
    """Errors of pydantic's, one line each; what several types of one setting have against a value is one error."""
    found: dict[str, dict[str, str]] = {}
    for detail in details:
        name, fault, given = _fault(cls, detail)
        faults = found.setdefault(name, {})
        faults[fault.removeprefix(SHOULD) if faults else fault] = given
    return [f"{name}: {' or '.join(faults)}{list(faults.values())[-1]}" for name, faults in found.items()]


def _fault(cls: type[Settings], detail: Any) -> tuple[str, str, str]:
    """The dotted name of a wrong setting, what is wrong with it, and ", not" the value that was given."""
    parents, keys = _place(cls, detail["loc"])
    name = ".".join(keys) or "settings"
    if detail["type"] == "extra_forbidden":
        return name, f"unknown setting{_nearest_setting(cls, parents, keys)}", ""
    if detail["type"] == "missing":
        return name, "is missing", ""
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        kinds = [kind for member in settings_under(parents, keys[-1]) for kind in _kinds(member)]
        tag = str(detail["ctx"].get("tag", ""))
        wrong = f"there is no {tag!r}{nearest(tag, kinds)}" if tag else "is missing"
        return f"{name}.{KIND}", f"{wrong}; known: {', '.join(kinds)}", ""
    message = detail["msg"].removeprefix("Value error, ")
    whole = detail["type"] == "value_error" and not keys
    return name, f"{message[:1].lower()}{message[1:]}", "" if whole else f", not {_short(detail['input'])}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _place(cls: type[Settings], loc: Sequence[int | str]) -> tuple[list[type[Settings]], list[str]]:
    """The classes that hold the setting of an error, and the keys that a YAML file has on the way to it.

    pydantic also names the kind of an alternative and the type that was tried; a file has no such keys.
    """
    parents, inside, keys = [cls], [cls], list[str]()
    for part in loc:
        if isinstance(part, int):
            keys.append(str(part))
            continue
        kind = [member for member in inside if len(inside) > 1 and part in _kinds(member)]
        if kind:
            inside = kind
        elif inside or not keys:
            keys.append(part)
            parents, inside = inside, settings_under(inside, part)
    return parents, keys


def _nearest_setting(cls: type[Settings], parents: Sequence[type[Settings]], keys: Sequence[str]) -> str:
    """The same name further inside, else the nearest name beside the unknown one, else the same name elsewhere."""
    names = list(dict.fromkeys(name for parent in parents for name in parent.model_fields))
    inside = [path for parent in parents for path in setting_names(parent) if path.endswith(f".{keys[-1]}")]
    if inside:
        return f" (did you mean {'.'.join([*keys[:-1], inside[0]])!r}?)"
    near = nearest(keys[-1], names)
    if near:
        return near
    kinds = [kind for parent in parents for kind in _kinds(parent)]
    paths = [path for path in setting_names(cls) if path.rsplit(".", 1)[-1] == keys[-1]]
    if paths and not kinds:
        return f" (did you mean {paths[0]!r}?)"
    return f"{f' of {KIND} {kinds[0]}' if kinds else ''}; known: {', '.join(names)}"


def setting_names(cls: type[Settings]) -> Iterator[str]:
    """Dotted names of all settings of a class, inner ones and all alternatives included: "train", "train.lr", ..."""
    for name in cls.model_fields:
        yield name
        deeper = (inner for member in settings_under([cls], name) for inner in setting_names(member))
        yield from (f"{name}.{inner}" for inner in dict.fromkeys(deeper))


def settings_under(parents: Iterable[type[Settings]], key: str) -> list[type[Settings]]:
    """The settings classes that may stand under a key, bare, optional, as alternatives or inside a list."""
    fields = [parent.model_fields[key] for parent in parents if key in parent.model_fields]
    pending: list[Any] = [field.annotation for field in fields]
    found: list[type[Settings]] = []
    while pending:
        kind = pending.pop(0)
        if isinstance(kind, type) and issubclass(kind, Settings):
            found.append(kind)
        pending += get_args(kind)
    return list(dict.fromkeys(found))


def _kinds(cls: type[Settings]) -> tuple[str, ...]:
    """The value of `kind` that stands for a class among alternatives; () for a class that is none."""
    field = cls.model_fields.get(KIND)
    return () if field is None else tuple(map(str, get_args(field.annotation)))
