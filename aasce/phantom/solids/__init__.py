"""Closed surfaces of simple shapes and of stored bones, from which anatomy and devices are built."""
