"""`aasce agree`: the reader study of two or more tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aasce.commands.staging import staged
from aasce.files import write_text
from aasce.scoring.present_study import save_study_figure, study_json
from aasce.scoring.reader_study import ReaderStudy, read_study


def agree(
    paths: Sequence[Path], out: Path | None = None, figure: Path | None = None, partial: bool = False
) -> ReaderStudy:
    """Compares readers and writes what is asked for.

    Args:
        paths: one table a reader.
        out: folder that gets agreement.json and agreement.png, None for none.
        figure: file of the plots, None for none.
        partial: see `read_study`.

    Raises:
        AasceError: a table is refused, or a file cannot be written.
    """
    study = read_study(paths, partial)
    if figure is not None:
        save_study_figure(study, figure)
    if out is not None:
        with staged(out) as folder:
            write_text(folder / "agreement.json", study_json(study))
            save_study_figure(study, folder / "agreement.png")
    return study
