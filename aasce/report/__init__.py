"""A prediction as a picture that a surgeon recognises."""

from aasce.report.overlay import draw_overlay, save_overlay

__all__ = ["draw_overlay", "save_overlay"]
