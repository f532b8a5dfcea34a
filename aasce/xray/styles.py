"""Random draws of `FilmAppearance`, in five styles.

The ranges cover the films of the AASCE 2019 challenge (long films of several machines, cropped to the trunk, many with
overexposed lungs, few with grey values above 240; whole films of one slot scanner with strong multi-scale processing
and black borders) and go beyond them, because films of other hospitals differ.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from aasce.xray.appearance import Border, Exposure, FilmAppearance, Mark, Processing, Seam, Storage, Window

Style: TypeAlias = Literal["plain", "hard", "equalised", "soft", "scanned"]
STYLES: dict[Style, float] = {"plain": 0.44, "hard": 0.17, "equalised": 0.2, "soft": 0.09, "scanned": 0.1}
"""Styles and how often each is drawn. plain: a linear window; hard: a window in which the lungs are black; equalised:
multi-scale processing; soft: low contrast; scanned: photographic film digitised by a scanner."""


def draw_appearance(
    rng: np.random.Generator, view: Literal["AP", "PA"] = "AP", style: Style | None = None
) -> FilmAppearance:
    """Draws the appearance of one film.

    Args:
        rng: source of every draw.
        view: of the camera, so that the letter R lies on the patient's right.
        style: a key of `STYLES`; drawn by its frequency when None.
    """
    if style is None:
        style = list(STYLES)[int(rng.choice(len(STYLES), p=list(STYLES.values())))]
    return FilmAppearance(
        exposure=_draw_exposure(rng, style),
        processing=_draw_processing(rng, style),
        window=_draw_window(rng, style),
        border=_draw_border(rng, style),
        marks=_draw_marks(rng, view),
        storage=_draw_storage(rng, style),
    )


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return round(float(rng.uniform(low, high)), 5)


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in the logarithm."""
    return float(f"{np.exp(rng.uniform(np.log(low), np.log(high))):.4g}")


def _sometimes(rng: np.random.Generator, chance: float, low: float, high: float) -> float:
    """Uniform with probability `chance`, else 0."""
    value = _uniform(rng, low, high)
    return value if rng.random() < chance else 0.0


def _draw_exposure(rng: np.random.Generator, style: Style) -> Exposure:
    scattered = {"soft": (0.5, 1.8), "equalised": (0.03, 0.4)}.get(style, (0.15, 1.1))
    return Exposure(
        clutter=_log(rng, 0.012, 0.045),
        clutter_slope=_uniform(rng, 0.5, 0.9),
        scatter=_uniform(rng, *scattered),
        scatter_mm=_uniform(rng, 25, 60),
        focus_mm=_log(rng, 0.15, 0.65),
        motion_mm=_sometimes(rng, 0.12, 0.3, 1.0),
        quanta=_log(rng, 5000, 60000),
        wedge=_sometimes(rng, 0.15, 0.1, 0.9),
        wedge_at=_uniform(rng, 0.3, 0.55),
        wedge_width=_uniform(rng, 0.03, 0.15),
        heel=_uniform(rng, -0.15, 0.5),
        cutoff=_sometimes(rng, 0.3, 0.05, 0.5),
        tilt=round(float(rng.normal(0, 0.06)), 5),
        grid=_sometimes(rng, 0.15, 0.002, 0.012),
        grid_px=_log(rng, 2.1, 14),
        grid_degrees=round(float(rng.normal(0, 0.7)), 5),
        seams=_draw_seams(rng),
    )


def _draw_seams(rng: np.random.Generator) -> tuple[Seam, ...]:
    """On a third of the long films the joints of two or three exposures are visible."""
    if rng.random() > 0.35:
        return ()
    places = (
        [_uniform(rng, 0.3, 0.65)]
        if rng.random() < 0.7
        else [_uniform(rng, 0.25, 0.4), _uniform(rng, 0.6, 0.75)]
    )
    return tuple(
        Seam(
            at=at,
            step=round(float(rng.normal(0, 0.09)), 5),
            line=round(float(rng.normal(0, 0.05)), 5),
            width=_log(rng, 0.002, 0.03),
        )
        for at in places
    )


def _draw_processing(rng: np.random.Generator, style: Style) -> Processing:
    strong = style == "equalised"
    equalised = (0.35, 0.8) if strong else (0.0, 0.3)
    return Processing(
        equalise=_uniform(rng, *equalised) if strong or rng.random() < 0.6 else 0.0,
        equalise_mm=_log(rng, 25, 120),
        detail=_uniform(rng, 0.2, 1.6) if strong else _sometimes(rng, 0.4, 0.0, 0.6),
        detail_mm=_log(rng, 0.6, 6),
        power=_uniform(rng, 0.7, 0.95)
        if strong
        else (1.0 if rng.random() < 0.5 else _uniform(rng, 0.9, 1.0)),
        sharpen=_uniform(rng, 0.4, 1.4) if strong else _sometimes(rng, 0.35, 0.0, 0.6),
        clahe=_sometimes(rng, 0.25 if strong else 0.12, 0.2, 0.9),
        clahe_limit=_uniform(rng, 1.0, 4.0),
    )


def _draw_window(rng: np.random.Generator, style: Style) -> Window:
    dark = {"plain": (-0.02, 0.24), "hard": (0.15, 0.42), "equalised": (-0.1, 0.03), "soft": (-0.3, 0.0)}
    gamma = {"soft": (0.7, 1.3), "equalised": (0.65, 1.1), "hard": (0.6, 1.3)}
    return Window(
        dark=_uniform(rng, *dark.get(style, (0.0, 0.2))),
        bright=_uniform(rng, 0.97, 0.999),
        floor=_sometimes(rng, 0.75 if style in ("soft", "equalised") else 0.2, 5, 38),
        ceiling=round(float(np.clip(rng.normal(203, 25), 120, 245)), 2),
        gamma=_log(rng, *gamma.get(style, (0.65, 1.5))),
        slope=_uniform(rng, 0.2, 1.0) if style == "scanned" else _uniform(rng, -0.3, 0.5),
        toe=_sometimes(rng, 0.6, 0.005, 0.08),
    )


def _draw_border(rng: np.random.Generator, style: Style) -> Border:
    whole = (
        style == "equalised" and rng.random() < 0.6
    )  # as of a slot scanner: all round, and blanked corners
    sides = [_sometimes(rng, 0.95 if whole else 0.12, 0.003, 0.06) for _ in range(4)]
    slants = [round(float(rng.normal(0, 0.25)), 4) for _ in range(4)]
    block = (_uniform(rng, 0.08, 0.3), _uniform(rng, 0.01, 0.045))
    other = (_uniform(rng, 0.08, 0.3), block[1])
    blanked = rng.random() < (0.5 if whole else 0.03)
    shade = rng.random()
    return Border(
        left=sides[0],
        right=sides[1],
        top=round(sides[2] * 0.6, 5),
        bottom=round(sides[3] * 0.6, 5),
        slants=(slants[0], slants[1], slants[2], slants[3]),
        grey=0.0 if whole or shade < 0.65 else 255.0 if shade < 0.85 else _uniform(rng, 20, 235),
        cover=1.0 if whole or rng.random() < 0.8 else _uniform(rng, 0.6, 0.98),
        soft_px=_log(rng, 0.2, 4.0),
        corners=(*block, *other) if blanked else (0.0, 0.0, 0.0, 0.0),
    )


_WORDS = (
    "ERECT",
    "STANDING",
    "PA",
    "AP",
    "L",
    "R",
    "UPRIGHT",
    "PA ERECT",
    "AP STANDING",
    "W/B",
    "EOS",
    "180CM",
    "PORT",
)
_INITIALS = "ABCDEFGHJKLMNPRSTWYZ"


def _draw_marks(rng: np.random.Generator, view: str) -> tuple[Mark, ...]:
    """Mostly a side letter, as lead marker or written onto the image; sometimes words, a date, initials, a ruler."""
    marks = []
    if rng.random() < 0.6:
        marks.append(_draw_side(rng, view))
    if rng.random() < 0.2:
        marks.append(_mark(rng, _draw_words(rng), 0.5 if rng.random() < 0.5 else -1.0))
    if rng.random() < 0.05:
        left = rng.random() < 0.5
        x = _uniform(rng, 0.02, 0.12) if left else _uniform(rng, 0.88, 0.98)
        marks.append(_mark(rng, "|", -1.0).model_copy(update={"x": x, "degrees": 0.0, "mirrored": not left}))
    return tuple(marks)


def _draw_words(rng: np.random.Generator) -> str:
    pick = rng.random()
    if pick < 0.55:
        return _WORDS[int(rng.integers(len(_WORDS)))]
    if pick < 0.8:
        return "".join(_INITIALS[int(i)] for i in rng.integers(0, len(_INITIALS), int(rng.integers(2, 4))))
    day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(2004, 2025)
    return f"{year}-{month:02d}-{day:02d}" if rng.random() < 0.5 else f"{day:02d}/{month:02d}/{year}"


def _draw_side(rng: np.random.Generator, view: str) -> Mark:
    """R on the patient's right, L on the left; 1 in 40 is on the wrong side, as happens in practice."""
    letter = "R" if rng.random() < 0.6 else "L"
    right_is_left = view == "AP"
    on_left = (letter == "R") == right_is_left
    if rng.random() < 0.025:
        on_left = not on_left
    burned = rng.random() < 0.5
    x = _uniform(rng, 0.03, 0.2)
    return _mark(rng, letter, 1.0 if burned else -1.0).model_copy(
        update={
            "x": x if on_left else round(1 - x, 5),
            "ring": bool(rng.random() < (0.5 if burned else 0.15)),
        }
    )


def _mark(rng: np.random.Generator, text: str, kind: float) -> Mark:
    """A text near the left or right side, mostly near the top; a lead marker where `kind` is negative."""
    lead = kind < 0
    side = _uniform(rng, 0.02, 0.22)
    return Mark(
        text=text,
        x=side if rng.random() < 0.5 else round(1 - side, 5),
        y=_uniform(rng, 0.0, 0.16) if rng.random() < 0.7 else _uniform(rng, 0.1, 0.98),
        height=_log(rng, 0.01, 0.03),
        degrees=round(float(rng.normal(0, 6)), 3) if lead else 0.0,
        grey=-_uniform(rng, 1.0, 4.0) if lead else (255.0 if rng.random() < 0.7 else _uniform(rng, 170, 255)),
        weight=_uniform(rng, 0.1, 0.24) if lead or rng.random() < 0.5 else 0.0,
        ring=False,
        mirrored=bool(lead and rng.random() < 0.1),
    )


def _draw_storage(rng: np.random.Generator, style: Style) -> Storage:
    scanned = style == "scanned"
    return Storage(
        vignette=_uniform(rng, 0.0, 0.3) if scanned else _sometimes(rng, 0.03, 0.0, 0.2),
        streaks=_sometimes(rng, 0.5 if scanned else 0.04, 0.2, 1.2),
        dust=int(rng.integers(0, 8)) if scanned else int(rng.integers(0, 4)) * int(rng.random() < 0.03),
        scale=_uniform(rng, 0.5, 1.0) if rng.random() < 0.2 else 1.0,
        grain=_sometimes(rng, 0.6 if scanned else 0.15, 0.3, 2.5),
        levels=int(rng.integers(48, 200)) if rng.random() < 0.06 else 256,
        jpeg=int(rng.integers(30, 80)) if rng.random() < 0.4 else int(rng.integers(80, 96)),
    )
