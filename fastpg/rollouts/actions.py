"""The actions of a policy, and the game's action that each one stands for."""

from collections.abc import Sequence

# ale-py names Pong's actions by the way that the paddle's knob turns: LEFT moves the paddle down,
# RIGHT moves it up. The actions that it calls DOWN and UP do nothing in Pong.
_DOWN_UP = ("LEFT", "RIGHT")


def action_table(
    game: str, meanings: Sequence[str], allow_noop: bool = False
) -> tuple[int, tuple[int, ...]]:
    """Number of logits A of a policy, and the game's action for each action of the policy.

    In Pong the policy has the article's two actions, DOWN and UP, from one logit; with
    ``allow_noop`` it has NOOP, DOWN and UP from three. In any other game it has all actions.

    Args:
        game: name of the game.
        meanings: ale-py's names of the game's actions, in their order.
        allow_noop: whether the policy may do nothing in Pong.
    """
    if game != "pong":
        return len(meanings), tuple(range(len(meanings)))
    names = ("NOOP", *_DOWN_UP) if allow_noop else _DOWN_UP
    return (3 if allow_noop else 1), tuple(meanings.index(name) for name in names)


def mirrored_actions(count: int) -> tuple[int, ...]:
    """The action that replaces each of Pong's 2 or 3 when the picture is turned upside down."""
    return (*range(count - 2), count - 1, count - 2)
