"""Showing a policy at play: in a terminal, a window, a video, a report. The commands use it."""


class ShowError(Exception):
    """Something cannot be shown here; one line that says why, and what to do."""
