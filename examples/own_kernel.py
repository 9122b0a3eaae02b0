"""Your own kernel, compiled by Numba, that calls fastpg's kernels.

    python examples/own_kernel.py --games 8 --steps 2000

``decision_weights`` computes advantages from the rewards of random games of Pong: it takes
fastpg's discounted returns, subtracts its own baseline (the mean return of all games at that step),
and standardizes the result with fastpg. All of this is one compiled function, without Python in
between and without the GIL.
"""

import argparse

import gymnasium
import numpy as np
from numba import njit

import fastpg  # noqa: F401  registers the environments
from fastpg.kernels import numba_cpu


@njit(nogil=True)
def decision_weights(rewards, dones, gamma, returns, offsets, weights):
    """Compute the weight (advantage) of each action.

    Args:
        rewards: (T, N) float32: reward after each step.
        dones: (T, N) bool: whether the episode ended with that step.
        gamma: discount per step.
        returns: (T, N) float32: output.
        offsets: (2,) int64: 0 and T * N, the one segment of ``standardize``.
        weights: (T * N,) float32: output.
    """
    # Loops neither check nor allocate: give every argument, with the kernel table's dtypes.
    numba_cpu.discounted_returns(rewards, dones, gamma, True, returns)
    for t in range(returns.shape[0]):
        baseline = np.float32(returns[t].mean())
        for n in range(returns.shape[1]):
            returns[t, n] -= baseline
    numba_cpu.standardize(returns.ravel(), offsets, weights)


def play(games: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Play games with random actions; return rewards (T, N) float32 and dones (T, N) bool."""
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
    """Play, and print the mean weights of won and lost points."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=8, help="games played in parallel")
    parser.add_argument("--steps", type=int, default=2000, help="steps per game")
    parser.add_argument("--gamma", type=float, default=0.99, help="discount per step")
    parser.add_argument("--seed", type=int, default=0, help="seed of games and actions")
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
