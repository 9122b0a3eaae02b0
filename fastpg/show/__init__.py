"""Shows what a policy does: in a terminal, a window, a video or a report."""


class ShowError(Exception):
    """Something cannot be shown here. The message is one line with the reason and the cure."""
