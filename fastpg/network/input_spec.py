"""What the network sees: views, their difference, past actions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputSpec:
    """What the network sees.

    Attributes:
        views: each by the steps that it lies back, from 0 on; an episode's first has itself before
            it.
        difference: of two views, instead of both.
        past_actions: actions before the one to be chosen.
    """

    views: tuple[int, ...] = (0, 1)
    difference: bool = False
    past_actions: int = 0

    @property
    def planes(self) -> int:
        """Views side by side in the first layer's rows."""
        return 1 if self.difference else len(self.views)

    @property
    def lookback(self) -> int:
        """Steps before a step that it looks back at."""
        return max(*self.views, self.past_actions)
