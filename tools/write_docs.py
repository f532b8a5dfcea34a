"""Writes every table of figures into README.md, the pages of docs/ and the model cards.

A table stands between two comments, `<!-- table: NAME -->` and `<!-- end -->`; what is between them is replaced.
Scores come from the predictions in submissions/, figures that cannot be computed from them from docs/data/*.json,
which names the command of each.

    python -m tools.write_docs            scores the submissions where AASCE_DATA is set, then writes the tables
    python -m tools.write_docs --check    names the files whose tables are not up to date; exit code 1

Without AASCE_DATA the scores are those in docs/data/scores.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from aasce.files import write_text
from tools.docs_scores import alike, labelled_films, score_submissions, stale
from tools.docs_tables import Sources, read_sources, table

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(<!-- table: (?P<name>\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def documents(root: Path) -> list[Path]:
    """Files that may hold tables."""
    return [root / "README.md", *sorted((root / "docs" / "pages").glob("**/*.md")),
            *sorted((root / "aasce" / "weights").glob("*/card.md"))]  # fmt: skip


def filled(text: str, sources: Sources) -> str:
    """A document with each of its tables made anew.

    Raises:
        KeyError: a block names no table.
    """
    return BLOCK.sub(lambda found: f"{found[1]}\n{table(found['name'], sources)}\n\n{found[3]}", text)


def scores_file(root: Path) -> Path:
    """Where the scores are kept."""
    return root / "docs" / "data" / "scores.json"


def kept_scores(root: Path) -> dict[str, Any]:
    """Scores as they were last written; none before."""
    path = scores_file(root)
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def one_line_each(scores: dict[str, Any]) -> str:
    """JSON with a line for each submission, so that a change shows which one it is."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in scores.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def faults(root: Path) -> Iterator[str]:
    """What is out of date, a line each."""
    scores = kept_scores(root)
    changed = stale(scores, root / "submissions")
    if changed:
        yield f"{scores_file(root)}: not the scores of {', '.join(changed)}"
        return
    films = labelled_films()
    if films is not None and not alike(scores, score_submissions(root / "submissions", films)):
        yield f"{scores_file(root)}: not the scores that the labels give"
    sources = read_sources(root, scores)
    for path in documents(root):
        text = path.read_text("utf-8")
        if filled(text, sources) != text:
            yield f"{path}: tables out of date"


def write(root: Path) -> list[Path]:
    """Writes scores and tables; returns the files that changed.

    Raises:
        typer.BadParameter: submissions changed and the labels to score them by are not there.
    """
    films, scores, changed = labelled_films(), kept_scores(root), []
    if films is not None:
        found = score_submissions(root / "submissions", films)
        if not alike(scores, found):
            scores = found
            write_text(scores_file(root), one_line_each(scores))
            changed.append(scores_file(root))
    elif stale(scores, root / "submissions"):
        raise typer.BadParameter("submissions changed; set AASCE_DATA to the challenge's data to score them")
    sources = read_sources(root, scores)
    for path in documents(root):
        text = path.read_text("utf-8")
        new = filled(text, sources)
        if new != text:
            write_text(path, new)
            changed.append(path)
    return changed


def main(
    check: Annotated[
        bool, typer.Option("--check", help="change nothing; exit code 1 when out of date")
    ] = False,
    root: Annotated[Path, typer.Option(help="folder of the project")] = ROOT,
) -> None:
    """Writes the tables of the documentation, or checks them."""
    if not check:
        for path in write(root):
            typer.echo(f"{path}: written")
        return
    found = list(faults(root))
    for line in found:
        typer.echo(f"{line}; run python -m tools.write_docs", err=True)
    if found:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
