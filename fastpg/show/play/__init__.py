"""A policy at play: in a terminal, a window, a video."""
