"""Landmarks that a person or a program marked on films."""
