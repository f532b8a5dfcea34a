"""Folds to a leaderboard: runs trained without the films they are measured on, their predictions, tables."""
