"""The report of a batch: one HTML page of all films, and a PDF of one page a film."""

from aasce.writers.report.export import Report

__all__ = ["Report"]
