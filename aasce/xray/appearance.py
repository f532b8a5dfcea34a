"""What a film looks like, as a readable record of plain numbers.

Six records, in the order of the imaging chain: `Exposure` (what reaches the detector), `Processing` (what the
console makes of its logarithm), `Window` (how that becomes grey), `Border` (what is masked), `Mark` (letters) and
`Storage` (how the film was kept). `aasce.xray.film.develop` applies them, `aasce.xray.styles.draw_look` draws them.
"""

from __future__ import annotations

from aasce.config import Settings


class Seam(Settings):
    """Where two exposures of a long film were joined.

    Attributes:
        at: of the film's height.
        step: how much more exposure the lower part had, in natural logarithms.
        line: exposure in the overlap itself, likewise; its width is `width`.
        width: of the overlap, in shares of the height.
    """

    at: float
    step: float
    line: float
    width: float


class Exposure(Settings):
    """From the primary beam to what the detector counts.

    Attributes:
        clutter: sd of the anatomical background that no mesh shows (fat lobules, vessels, muscle fibres), in natural
            logarithms behind the thickest body; a power-law texture (Burgess 1999).
        clutter_slope: exponent of the texture's amplitude over its scale.
        scatter: scattered over primary radiation behind the middle of the body, after the grid.
        scatter_mm: sd of its spread.
        focus_mm: sd of the blur of focus and detector.
        motion_mm: sd of the blur by breathing, along the body.
        quanta: that the detector uses per mm2 behind the body, at the median.
        wedge: how much a wedge filter takes off the beam above `wedge_at`, in natural logarithms.
        wedge_at: shares of the height.
        wedge_width: of the transition, likewise.
        heel: fall of exposure from the film's top to its bottom (anode heel), in natural logarithms.
        cutoff: fall towards the sides of a grid off its focus, likewise.
        tilt: fall from left to right, likewise.
        grid: amplitude of the anti-scatter grid's lines, relative.
        grid_px: their period.
        grid_degrees: their slant from the upright.
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
    """Multi-scale processing of the logarithm (Vuylsteke and Schoeters 1994), as consoles do it.

    Attributes:
        equalise: share of everything coarser than `equalise_mm` that is taken away, 0 to 1.
        equalise_mm: scale, mm on the film.
        detail: gain of the band around `detail_mm`, beyond 1.
        detail_mm: scale, likewise.
        power: exponent that faint contrast is lifted with, 1 leaves it alone.
        sharpen: gain of the unsharp mask of one to two pixels.
        clahe: share of a contrast-limited adaptive equalisation that is mixed in, 0 to 1.
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
    """How the processed logarithm becomes grey.

    Attributes:
        dark: quantile of the body that becomes black.
        bright: quantile of the body that becomes `ceiling`.
        floor: grey of what lies at and below `dark`, 0 to 255.
        ceiling: grey at `bright`; brighter things go on to 255.
        gamma: exponent in between; below 1 lifts the dark parts.
        slope: share of an S-shaped film curve, -0.4 to 1.
        toe: softness with which the dark end runs out, in shares of the window; 0 cuts it off.
    """

    dark: float
    bright: float
    floor: float
    ceiling: float
    gamma: float
    slope: float
    toe: float


class Border(Settings):
    """What collimation and masking leave of the film.

    Attributes:
        left, right, top, bottom: masked shares of the width or height, each at the middle of its side.
        slants: degrees by which the four sides lean.
        grey: of the mask.
        cover: 1 hides the film below, less lets it shine through.
        soft_px: sd of the edge.
        corners: blanked blocks at the top: width and height left, width and height right, in shares of the film.
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
        text: what it says; "|" is a ruler with ticks, from top to bottom.
        x, y: of its middle, in shares of the film.
        height: of its letters, in shares of the film's height.
        degrees: by which it is turned.
        grey: of a text burned in, 0 to 255; below 0 it is of lead and lies in the beam, where it attenuates -grey in
            natural logarithms.
        weight: thickness of the strokes, in shares of the letters' height; 0 takes a printed fount.
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
    """How the film was kept.

    Attributes:
        vignette: fall of the light box or lens towards the corners, relative.
        streaks: sd of a scanner's stripes along the film, grey levels.
        dust: specks and hairs on the film.
        scale: size it was stored in beside that of the render, at most 1.
        grain: sd of noise added after processing, grey levels.
        levels: grey levels kept.
        jpeg: quality, 100 for none.
    """

    vignette: float
    streaks: float
    dust: int
    scale: float
    grain: float
    levels: int
    jpeg: int


class FilmLook(Settings):
    """All that turns a body's shadow into a film, see the parts."""

    exposure: Exposure
    processing: Processing
    window: Window
    border: Border
    marks: tuple[Mark, ...]
    storage: Storage
