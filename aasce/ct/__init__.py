"""Scans: volumes in, located, labelled, segmented and graded vertebrae out."""
