"""Settings of detector, console and storage that give a film its appearance, as readable records of plain numbers.

Six records, in the order of the imaging chain: `Exposure` (what reaches the detector), `Processing` (processing of the
detector's logarithm by the console), `Window` (from there to grey values), `Border` (masked parts), `Mark` (letters and
rulers) and `Storage` (scanning and compression). `aasce.xray.film.develop` applies them,
`aasce.xray.styles.draw_appearance` draws them at random.

Natural logarithm is abbreviated ln; sd is standard deviation; a share is a number from 0 to 1.
"""

from __future__ import annotations

from aasce.config import Settings


class Seam(Settings):
    """Where two exposures of a long film were joined.

    Attributes:
        at: position, as a share of the film's height from the top.
        step: ln of the lower part's exposure over the upper part's.
        line: ln of the additional exposure in the overlap.
        width: of the overlap, as a share of the film's height.
    """

    at: float
    step: float
    line: float
    width: float


class Exposure(Settings):
    """From the primary beam to what the detector counts.

    Attributes:
        clutter: sd, in ln of the intensity behind the thickest body, of anatomical background that has no mesh (fat
            lobules, vessels, muscle fibres); a power-law texture (Burgess 1999).
        clutter_slope: exponent of the texture's amplitude over its scale.
        scatter: ratio of scattered to primary radiation behind the middle of the body, after the grid.
        scatter_mm: sd of the scatter's spread, mm.
        focus_mm: sd of the blur by focal spot and detector, mm.
        motion_mm: sd of the blur by breathing, along the body, mm.
        quanta: detected quanta per mm2 behind the body, at the median.
        wedge: ln of the attenuation by a wedge filter above `wedge_at`.
        wedge_at: lower end of the wedge filter, as a share of the film's height.
        wedge_width: width of the transition there, as a share of the film's height.
        heel: fall of ln exposure from the top to the bottom of the film (anode heel effect).
        cutoff: fall of ln exposure towards the sides, from a grid that is out of focus.
        tilt: fall of ln exposure from left to right.
        grid: relative amplitude of the anti-scatter grid's lines.
        grid_px: period of these lines, px.
        grid_degrees: angle of these lines from the vertical.
        seams: of a film joined from several exposures.
    """

    clutter: float
    clutter_slope: float
    scatter: float
    scatter_mm: float
    focus_mm: float
    motion_mm: float
    quanta: float
    wedge: float
    wedge_at: float
    wedge_width: float
    heel: float
    cutoff: float
    tilt: float
    grid: float
    grid_px: float
    grid_degrees: float
    seams: tuple[Seam, ...]


class Processing(Settings):
    """Multi-scale processing of the logarithm by the console (Vuylsteke and Schoeters 1994).

    Attributes:
        equalise: share of all structures coarser than `equalise_mm` that is removed.
        equalise_mm: that scale, mm on the film.
        detail: additional gain of structures around `detail_mm`; 0 for none.
        detail_mm: that scale, mm on the film.
        power: exponent of the contrast; below 1 faint contrast is raised, 1 changes nothing.
        sharpen: gain of the unsharp mask of one to two pixels.
        clahe: share of the contrast-limited adaptive histogram equalisation in the result.
        clahe_limit: its clip limit.
    """

    equalise: float
    equalise_mm: float
    detail: float
    detail_mm: float
    power: float
    sharpen: float
    clahe: float
    clahe_limit: float


class Window(Settings):
    """From the processed logarithm to grey values.

    Attributes:
        dark: quantile of the body that becomes `floor`; see `aasce.xray.processing.to_grey` for values below 0.
        bright: quantile of the body that becomes `ceiling`.
        floor: grey value at and below `dark`, 0 to 255.
        ceiling: grey value at `bright`; brighter parts continue up to 255.
        gamma: exponent in between; below 1 makes the dark parts brighter.
        slope: share of an S-shaped film curve, -0.4 to 1.
        toe: width, as a share of the window, over which the curve bends at its dark end; 0 for a sharp bend.
    """

    dark: float
    bright: float
    floor: float
    ceiling: float
    gamma: float
    slope: float
    toe: float


class Border(Settings):
    """Parts of the film that collimation and masking hide.

    Attributes:
        left, right, top, bottom: masked shares of the width or height, each at the middle of its side.
        slants: degrees by which the four sides are rotated.
        grey: grey value of the mask.
        cover: opacity of the mask; 1 hides the film below.
        soft_px: sd of the blur of its edge, px.
        corners: blank rectangles in the upper corners: width and height on the left, width and height on the right, as
            shares of the film.
    """

    left: float
    right: float
    top: float
    bottom: float
    slants: tuple[float, float, float, float]
    grey: float
    cover: float
    soft_px: float
    corners: tuple[float, float, float, float]


class Mark(Settings):
    """A letter, a word or a ruler.

    Attributes:
        text: the letters; "|" is a ruler with ticks, from top to bottom.
        x, y: its middle, as shares of the film's width and height.
        height: of its letters, as a share of the film's height.
        degrees: rotation.
        grey: grey value, 0 to 255, of text written onto the image; a negative value is a lead marker in the beam whose
            ln attenuation is -grey.
        weight: thickness of the strokes, as a share of the letters' height; 0 uses a printed font.
        ring: True for a ring around it.
        mirrored: True for letters seen from behind.
    """

    text: str
    x: float
    y: float
    height: float
    degrees: float
    grey: float
    weight: float
    ring: bool
    mirrored: bool


class Storage(Settings):
    """Scanning, reduction and compression of the finished film.

    Attributes:
        vignette: relative fall of the light box or lens towards the corners.
        streaks: sd of a scanner's stripes along the film, grey values.
        dust: number of specks and hairs on the film.
        scale: stored size over rendered size, at most 1.
        grain: sd of film grain, grey values.
        levels: number of grey levels stored, at most 256.
        jpeg: JPEG quality; 100 for no compression.
    """

    vignette: float
    streaks: float
    dust: int
    scale: float
    grain: float
    levels: int
    jpeg: int


class FilmAppearance(Settings):
    """All settings that turn transmitted intensity into a film; see the parts."""

    exposure: Exposure
    processing: Processing
    window: Window
    border: Border
    marks: tuple[Mark, ...]
    storage: Storage
