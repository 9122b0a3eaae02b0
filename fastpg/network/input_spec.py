"""The network's input: which views, as a stack or a difference, and how many past actions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputSpec:
    """The network's input at a step.

    Attributes:
        views: age of each view in agent steps; the first is 0. Before the episode's start, its
            first view is used.
        difference: whether the input is the difference of two views instead of both.
        past_actions: how many of the latest actions it sees, each one-hot.
    """

    views: tuple[int, ...] = (0, 1)
    difference: bool = False
    past_actions: int = 0

    @property
    def planes(self) -> int:
        """Number of 80x80 planes in the first layer."""
        return 1 if self.difference else len(self.views)

    @property
    def lookback(self) -> int:
        """How many steps before the current one the input needs."""
        return max(*self.views, self.past_actions)
