"""The report of a small batch: what the page and the PDF say, and what they must not say."""

from __future__ import annotations

import re
import resource
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from aasce.commands.exports import exports_of
from aasce.ensemble import Measurement, with_angles
from aasce.types import CobbAngles, FilmFacts, Orientation, Radiograph, SpinePrediction
from aasce.writers.report import Report
from aasce.writers.report.entries import entry_of, summary_line
from aasce.writers.report.html import histogram, write_html
from aasce.writers.report.pdf import write_pdf
from tests.commandline import Run
from tests.synthetic import bent_spine, drawn_film

NAME = '<img src=x onerror=alert(1)> "O\'Neil" & Ü 骨'
BATCH = {"good": (), "odd": ("levels_unsure", "film_negative"), NAME: ()}


class Page(HTMLParser):
    """Rows of the table as texts, and every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def measured(name: str, bend: float, flags: tuple[str, ...] = ()) -> tuple[Radiograph, Measurement]:
    spine = bent_spine(bend)
    film = Radiograph(name, drawn_film(spine), spacing=(0.5, 0.5), spacing_source="PixelSpacing")
    return film, with_angles(
        SpinePrediction(name, film.size, landmarks=spine, flags=flags, confidence=0.8, solver="s")
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of three measured films, a failed one, and one that could not be read (and was never added)."""
    out = tmp_path_factory.mktemp("report")
    report, rows = Report(), []
    for bend, (name, flags) in zip((20.0, 30.0, 44.0), BATCH.items(), strict=True):
        film, measurement = measured(name, bend, flags)
        report.add(out, film, measurement)
        rows.append((film.facts, measurement))
    lost = SpinePrediction("lost", film.size, failure="no spine is found")
    report.add(out, Radiograph("lost", film.pixels), Measurement(lost, None))
    rows.append((Radiograph("lost", film.pixels).facts, Measurement(lost, None)))
    unread = Measurement(SpinePrediction("unread", (0, 0), failure="is empty; copy it again"), None)
    rows.append((FilmFacts("unread", Path("unread.png"), None, (0, 0), None, None, None, None), unread))
    report.close(out, rows)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text("utf-8"))


def test_a_report_is_two_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.pdf"]


def test_failed_then_flagged_films_come_first(page: Page) -> None:
    heading, *rows = page.rows
    assert heading == ["Picture", "Film", "Flags", "Severity", "an1", "an2", "an3", "Curves", "Confidence"]
    assert [row[1] for row in rows] == ["lost", "unread", "odd", NAME, "good"]
    assert rows[1][0] == "none"
    assert rows[0][2] == "not measured: no spine is found"
    assert rows[0][4:7] == ["–", "–", "–"]
    assert rows[2][2].split("  ")[0].strip() == "levels unsure film negative"
    # The tilts of the made spine run from +15 to -15 degrees; its corners are whole pixels.
    assert float(rows[2][4].rstrip("°")) == pytest.approx(30.0, abs=1.5)
    assert rows[2][3] == "moderate"


def test_names_are_text_and_never_markup(page: Page, folder: Path) -> None:
    text = (folder / "report.html").read_text("utf-8")
    assert "<img src=x" not in text
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.rows[4][1] == NAME


def test_the_page_asks_nothing_of_a_network(page: Page, folder: Path) -> None:
    text = (folder / "report.html").read_text("utf-8")
    assert not re.search(r"https?:|//[a-z]+\.", text)
    sources = [attributes.get("src") or attributes.get("href") for _, attributes in page.tags]
    assert all(source.startswith("data:") for source in sources if source)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_table_is_read_out_well(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert (tags.count("h1"), tags.count("caption"), tags.count("main")) == (1, 1, 1)
    scopes = [attributes.get("scope") for tag, attributes in page.tags if tag == "th"]
    assert (scopes.count("col"), scopes.count("row")) == (9, 5)
    assert sum(tag == "th" and a.get("aria-sort") == "none" for tag, a in page.tags) == 8
    assert ("html", {"lang": "en"}) in page.tags
    assert all("alt" in attributes for tag, attributes in page.tags if tag == "img")


def test_the_summary_counts_by_hand(folder: Path) -> None:
    text = (folder / "report.html").read_text("utf-8")
    assert "5 films, 3 measured, 2 failed, 1 measured with flags" in text
    assert "Not a medical device." in text
    three = [
        entry_of(film.facts, measurement)
        for film, measurement in (measured(str(b), b) for b in (20.0, 30.0, 40.0))
    ]
    majors = sorted(entry.major or 0.0 for entry in three)
    assert summary_line(three).endswith(f"{majors[0]:.1f}° to {majors[2]:.1f}°, median {majors[1]:.1f}°")


def test_bars_of_the_histogram_by_hand() -> None:
    bars = histogram([0.0, 4.99, 5.0, 12.0, 13.0, 14.0])
    assert [(bar.low, bar.high, bar.count) for bar in bars] == [(0, 5, 2), (5, 10, 1), (10, 15, 3)]
    assert [bar.height for bar in bars] == [80.0, 40.0, 120.0]
    assert histogram([]) == []


def test_intervals_stand_by_the_angles(tmp_path: Path) -> None:
    film, measurement = measured("x", 30.0)
    known = replace(measurement, intervals=((25.25, 34.75), None, None), coverage=0.95)
    entry = entry_of(film.facts, known)
    assert (entry.major_interval, entry.coverage) == ("25.2 to 34.8", "95 % intervals")
    assert re.match(r"an1 \d+\.\d° \(25\.2 to 34\.8\), T1 to L5", entry.curves[0])
    write_html(tmp_path / "report.html", [entry, entry_of(film.facts, measurement)])
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "below each its interval (95 % intervals)" in text
    cells = Page(text).rows[1:]
    assert cells[0][4].endswith("°25.2 to 34.8")
    assert (cells[0][5][-1], cells[1][4][-1]) == ("°", "°")
    write_pdf(tmp_path / "report.pdf", [entry])
    line = "95 % intervals: 25.2 to 34.8".encode("cp1252").hex().encode()
    assert line in (tmp_path / "report.pdf").read_bytes()


def test_curves_in_words() -> None:
    film, measurement = measured("x", 30.0)
    entry = entry_of(film.facts, measurement)
    assert re.fullmatch(
        r"an1 \d+\.\d°, T1 to L5, apex T\d+(-\d+)?, main thoracic, convex image (left|right), moderate",
        entry.curves[0],
    )
    assert entry.balance[0].startswith("T1 tilted by 1")
    assert entry.balance[-1] == "mm by PixelSpacing"
    unknown = entry_of(Radiograph("x", film.pixels).facts, measurement)
    assert unknown.balance[-1].endswith("px high")
    regressed = SpinePrediction("r", (100, 50), angles=CobbAngles(np.array([30.0, 20.0, 5.0]), "challenge"))
    assert entry_of(film.facts, with_angles(regressed)).curves[0] == "an1 30.0°, moderate"


def test_the_pdf_has_a_page_a_film_and_its_words(folder: Path) -> None:
    content = (folder / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF-1.4")
    assert content.count(b"/Type /Page\n") == 5
    assert content.count(b"/DCTDecode") == 4
    texts = [
        bytes.fromhex(found.decode()).decode("cp1252") for found in re.findall(rb"<([0-9a-f]*)> Tj", content)
    ]
    assert texts[:3] == ["lost", "Not measured", "no spine is found"]
    assert "levels unsure" in texts
    assert any(text.startswith("an1 ") for text in texts)
    assert any("Ü ?" in text for text in texts)  # a letter that the standard fonts lack


def test_every_object_of_the_pdf_stands_where_its_table_says(folder: Path) -> None:
    content = (folder / "report.pdf").read_bytes()
    start = int(content.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert content[start:].startswith(b"xref")
    entries = re.findall(rb"(\d{10}) \d{5} n", content[start:])
    assert len(entries) > 15
    for offset in entries:
        assert re.match(rb"\d+ 0 obj", content[int(offset) :])


def test_patients_are_named_only_when_asked(tmp_path: Path) -> None:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    header.PatientName, header.PatientID, header.StudyDate = "Doe^Jane", "4711", "20260102"
    path = tmp_path / "f.dcm"
    header.save_as(path, enforce_file_format=True)
    pixels = drawn_film(bent_spine(20.0))
    film = Radiograph("f", pixels, path=path)
    measurement = with_angles(SpinePrediction("f", film.size, landmarks=bent_spine(20.0)))
    for identify in (False, True):
        out = tmp_path / str(identify)
        (report,) = exports_of(report=True, identify=identify)
        report.add(out, film, measurement)
        report.close(out, [(film.facts, measurement)])
        text = (out / "report.html").read_text("utf-8")
        assert ("Doe^Jane" in text, "4711" in text) == (identify, identify)
        assert (b"Doe^Jane".hex().encode() in (out / "report.pdf").read_bytes()) is identify


def test_a_turned_film_has_an_upright_thumbnail(tmp_path: Path) -> None:
    report, film = Report(), Radiograph("t", np.rot90(drawn_film(bent_spine(20.0))).copy())
    lying = SpinePrediction("t", film.size, orientation=Orientation(1), failure="no spine is found")
    report.add(tmp_path, film, Measurement(lying, None))
    (thumbnail,) = (tmp_path / ".report").glob("*.small.jpg")
    with Image.open(thumbnail) as picture:
        assert picture.size == (41, 96)  # 448 x 192 px set upright


def test_memory_stays_flat_over_many_films(tmp_path: Path) -> None:
    film, measurement = measured("x", 20.0)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (330, 300, 3), np.uint8)).save(
        tmp_path / "p.jpg"
    )
    entry = entry_of(film.facts, measurement, (), tmp_path / "p.jpg", tmp_path / "p.jpg")
    write_html(tmp_path / "one.html", [entry] * 3)
    write_pdf(tmp_path / "one.pdf", [entry] * 3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write_html(tmp_path / "many.html", [entry] * 250)
    write_pdf(tmp_path / "many.pdf", [entry] * 250)
    assert (tmp_path / "many.html").stat().st_size > 30 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10


def test_predict_writes_the_report(run: Run, film: Path) -> None:
    assert run("predict", film, "--solver", "constant", "--report").code == 0
    assert {"report.html", "report.pdf"} <= {path.name for path in Path("aasce-out").iterdir()}
    assert not (Path("aasce-out") / ".report").exists()


def test_a_batch_that_was_cut_off_goes_on_to_a_whole_report(
    run: Run, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("predict", film, "--solver", "constant", "--report")
    closed = Report.close

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Report, "close", cut_off)
    assert run(*words).code == 130
    monkeypatch.setattr(Report, "close", closed)
    assert run(*words, "--resume").code == 0
    page = Page(Path("aasce-out/report.html").read_text("utf-8"))
    assert (page.rows[1][0], page.rows[1][1]) == ("", "good")  # the picture that was drawn before the cut
    assert sum("data-picture" in attributes for tag, attributes in page.tags if tag == "script") == 1
