"""Runs as one HTML file: curves, weights, a game."""
