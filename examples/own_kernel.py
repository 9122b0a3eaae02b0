"""A kernel of your own, compiled by Numba, with kernels of fastpg inside it.

    python examples/own_kernel.py --games 8 --steps 2000

Games of Pong are played at random. ``decision_weights`` turns their rewards into the weight of each
decision: fastpg's discounted returns, minus a baseline that is our own (the mean of the games that
play beside it), brought to mean 0 and deviation 1 by fastpg again. All three are one compiled
function: no Python between them, and no GIL.
"""

import argparse

import gymnasium
import numpy as np
from numba import njit

import fastpg  # noqa: F401  registers the environments
from fastpg.kernels import numba_cpu


@njit(nogil=True)
def decision_weights(rewards, dones, gamma, returns, offsets, weights):
    """Write the weight of each decision.

    Args:
        rewards: (T, N) float32: after each step.
        dones: (T, N) bool: whether the episode ended with that step.
        gamma: discount a step.
        returns: (T, N) float32: written.
        offsets: (2,) int64: 0 and T * N, one segment, as ``standardize`` wants it.
        weights: (T * N,) float32: written.
    """
    # Loops check nothing and allocate nothing: every argument is given, in the table's dtypes.
    numba_cpu.discounted_returns(rewards, dones, gamma, True, returns)
    for t in range(returns.shape[0]):
        baseline = np.float32(returns[t].mean())
        for n in range(returns.shape[1]):
            returns[t, n] -= baseline
    numba_cpu.standardize(returns.ravel(), offsets, weights)


def play(games: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rewards (T, N) float32 and ends (T, N) bool of games that are played at random."""
    envs = gymnasium.make_vec(
        "fastpg/Pong-v5", num_envs=games, obs_type="ram", autoreset_mode="SameStep"
    )
    envs.reset(seed=seed)
    rng = np.random.default_rng(seed)
    rewards, dones = np.empty((steps, games), np.float32), np.empty((steps, games), np.bool_)
    for t in range(steps):
        _, rewards[t], terminated, truncated, _ = envs.step(rng.integers(0, 6, games))
        dones[t] = terminated | truncated
    envs.close()
    return rewards, dones


def main() -> None:
    """Play, and print what the weights of won and lost points are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=8, help="played at the same time")
    parser.add_argument("--steps", type=int, default=2000, help="of each game")
    parser.add_argument("--gamma", type=float, default=0.99, help="discount a step")
    parser.add_argument("--seed", type=int, default=0, help="of games and actions")
    options = parser.parse_args()
    rewards, dones = play(options.games, options.steps, options.seed)
    returns, weights = np.empty_like(rewards), np.empty(rewards.size, np.float32)
    offsets = np.array([0, rewards.size])
    decision_weights(rewards, dones, options.gamma, returns, offsets, weights)
    weights = weights.reshape(rewards.shape)
    print(f"{rewards.size:,} decisions, mean {weights.mean():+.4f}, deviation {weights.std():.4f}")
    for name, points in (("won", rewards > 0), ("lost", rewards < 0)):
        if points.any():
            print(f"{points.sum():4} points {name}: mean weight {weights[points].mean():+.2f}")


if __name__ == "__main__":
    main()
