"""report.pdf: one page a film, with text that can be searched.

Pillow's writer of PDF objects puts one page after the other into the file, so that memory stays flat; the pictures go
in as the JPEGs that they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from PIL.PdfParser import IndirectReference, PdfName, PdfParser

from aasce.files import atomic_write
from aasce.writers.page import wrap
from aasce.writers.report.entries import NOTICE, Entry, summary_line

WIDTH, HEIGHT, MARGIN = 595.0, 842.0, 40.0
"""Points: a sheet of A4 and its margin."""

PICTURE = (MARGIN, 60.0, 310.0, 700.0)
"""Left, bottom, width and height of the place for the overlay, points."""

TEXT_LEFT = 370.0
TEXT_WIDTH = WIDTH - MARGIN - TEXT_LEFT
WIDER = 1.15
Line = tuple[str, int, bool]
"""Text, size in points, whether it is bold."""


def write_pdf(path: Path, entries: Sequence[Entry]) -> None:
    """Writes one page a film: overlay, angles, curves in words, flags.

    Args:
        path: of the file.
        entries: films in the order of the pages.

    Raises:
        AasceError: the file cannot be written.
    """
    with atomic_write(path) as temporary, temporary.open("w+b") as stream:
        pdf = PdfParser(f=stream, mode="w+b")
        pdf.start_writing()
        pdf.write_header()
        pdf.pages = [pdf.next_object_id(0) for _ in entries]
        pdf.write_catalog()
        fonts = {"F1": _font(pdf, "Helvetica"), "F2": _font(pdf, "Helvetica-Bold")}
        summary = summary_line(entries)
        for page, entry in zip(pdf.pages, entries, strict=True):
            _write_page(pdf, page, fonts, entry, summary)
        pdf.info["Title"] = "Cobb angles"
        pdf.write_xref_and_trailer()
        pdf.close()


def _font(pdf: PdfParser, name: str) -> IndirectReference:
    kind, encoding = PdfName("Type1"), PdfName("WinAnsiEncoding")
    return pdf.write_obj(None, Type=PdfName("Font"), Subtype=kind, BaseFont=PdfName(name), Encoding=encoding)


def _write_page(
    pdf: PdfParser,
    page: IndirectReference,
    fonts: dict[str, IndirectReference],
    entry: Entry,
    summary: str,
) -> None:
    content = b"".join(_texts(entry, summary))
    resources = {"Font": fonts}
    if entry.picture is not None:
        picture, placed = _picture(pdf, entry.picture)
        resources["XObject"] = {"Im": picture}
        content += placed
    contents = pdf.write_obj(None, stream=content)
    pdf.write_page(page, Resources=resources, MediaBox=[0, 0, WIDTH, HEIGHT], Contents=contents)


def _picture(pdf: PdfParser, path: Path) -> tuple[IndirectReference, bytes]:
    """The JPEG as an object, and the words that draw it as large as its place allows."""
    with Image.open(path) as picture:
        width, height = picture.size
    reference = pdf.write_obj(
        None,
        stream=path.read_bytes(),
        Type=PdfName("XObject"),
        Subtype=PdfName("Image"),
        Width=width,
        Height=height,
        ColorSpace=PdfName("DeviceRGB"),
        BitsPerComponent=8,
        Filter=PdfName("DCTDecode"),
    )
    left, bottom, wide, high = PICTURE
    scale = min(wide / width, high / height)
    top = bottom + high - scale * height
    matrix = f"{scale * width:.2f} 0 0 {scale * height:.2f} {left:.2f} {top:.2f}"
    return reference, f"q {matrix} cm /Im Do Q\n".encode("ascii")


def _texts(entry: Entry, summary: str) -> Iterator[bytes]:
    size = 15 if len(entry.name) <= 60 else 9
    yield from _column([(entry.name, size, True)], MARGIN, HEIGHT - MARGIN - 12, WIDTH - 2 * MARGIN)
    yield from _column(_lines(entry), TEXT_LEFT, PICTURE[1] + PICTURE[3] - 10, TEXT_WIDTH)
    footer: list[Line] = [(NOTICE, 7, False), (f"Of a batch: {summary}.", 7, False)]
    yield from _column(footer, MARGIN, MARGIN, WIDTH - 2 * MARGIN)


def _lines(entry: Entry) -> list[Line]:
    lines: list[Line] = [(f"{name}: {value}", 9, False) for name, value in entry.identity]
    if entry.failure:
        lines += [("Not measured", 12, True), (entry.failure, 10, False)]
    else:
        lines += [(f"Major angle {entry.major:.1f}°", 14, True)]
        if entry.major_interval:
            lines += [(f"{entry.coverage}: {entry.major_interval}", 10, False)]
        lines += [(f"Severity: {entry.severity}", 10, False)]
        lines += [(f"Pattern: {entry.pattern}", 10, False), ("Curves", 12, True)]
        lines += [(line, 10, False) for line in (*entry.curves, *entry.balance)]
        lines += [(f"Angles by the {entry.definition} definition", 9, False)]
        lines += [(f"Confidence {entry.confidence:.2f}, {entry.solver}", 9, False)]
    if entry.flags:
        lines += [("Flags", 12, True), *((flag, 10, False) for flag in entry.flags)]
    return lines


def _column(lines: Sequence[Line], left: float, top: float, width: float) -> Iterator[bytes]:
    """Wrapped lines down from `top`; what would run over the foot of the sheet is left out.

    Widths are measured in bold DejaVu Sans, which is wider than the Helvetica that is drawn, `WIDER` times at least.
    """
    y = top
    for text, size, bold in lines:
        y -= 0.6 * size if bold else 0.0
        for part in wrap(text, WIDER * width, size):
            if y < 12:
                return
            yield _drawn(part, left, y, size, bold)
            y -= 1.35 * size
        y -= 0.25 * size


def _drawn(text: str, x: float, y: float, size: int, bold: bool) -> bytes:
    """One line of text. The standard fonts know Western letters; the overlay shows a name in its own letters."""
    letters = text.encode("cp1252", "replace").hex()
    return f"BT /{'F2' if bold else 'F1'} {size} Tf {x:.1f} {y:.1f} Td <{letters}> Tj ET\n".encode("ascii")
