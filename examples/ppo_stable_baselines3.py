"""Stable-Baselines3's PPO on fastpg's vector environment of Pong.

    python examples/ppo_stable_baselines3.py --steps 1000000

Stable-Baselines3 has its own interface for vector environments, older than Gymnasium's. The adapter
below connects the two. The games stay in one compiled environment, on threads of this process.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

import fastpg  # noqa: F401  registers the environments


class Games(VecEnv):
    """A Gymnasium vector environment with same-step autoreset as a Stable-Baselines3 VecEnv."""

    def __init__(self, envs: gymnasium.vector.VectorEnv):
        self.envs = envs
        self.render_mode = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> np.ndarray:
        """Start new episodes, with the seeds that ``seed`` has set."""
        seeds = self._seeds if any(seed is not None for seed in self._seeds) else None
        observations, _ = self.envs.reset(seed=seeds)
        self._reset_seeds()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Store the actions for ``step_wait``."""
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict]]:
        """Step every game."""
        observations, rewards, terminated, truncated, infos = self.envs.step(self.actions)
        dones = terminated | truncated
        each: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(dones):
            each[i]["terminal_observation"] = infos["final_obs"][i]
            each[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return observations, rewards.astype(np.float32), dones, each

    def close(self) -> None:
        """Stop the threads."""
        self.envs.close()

    # ---- access to single games, which one environment does not have ----------------------------

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The environment's attribute, once per game."""
        return [getattr(self.envs, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Raise NotImplementedError."""
        raise NotImplementedError("games of one environment have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list:
        """Raise NotImplementedError."""
        raise NotImplementedError("games of one environment have no methods of their own")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Whether each game is wrapped: no."""
        return [False] * len(list(self._get_indices(indices)))


def main(argv: Sequence[str] | None = None) -> None:
    """Train and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="fastpg/Pong-v5", help="rules of the game")
    parser.add_argument("--steps", type=int, default=1_000_000, help="agent steps in total")
    parser.add_argument("--games", type=int, default=8, help="games played in parallel")
    parser.add_argument("--rollout", type=int, default=128, help="steps per game and update")
    parser.add_argument("--minibatch", type=int, default=256, help="steps per gradient")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the steps of an update")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, games and actions")
    options = parser.parse_args(argv)

    rules = {"frameskip": 4, "noop_max": 30} if "NoFrameskip" in options.env else {}
    envs = gymnasium.make_vec(
        options.env,
        num_envs=options.games,
        obs_type="dqn",  # (4, 84, 84): four greyscale pictures, as in ale-py's AtariVectorEnv
        autoreset_mode="SameStep",
        **rules,
    )
    model = PPO(
        "CnnPolicy",
        VecMonitor(Games(envs)),  # records the episodes' scores
        n_steps=options.rollout,
        batch_size=options.minibatch,
        n_epochs=options.epochs,
        learning_rate=2.5e-4,
        clip_range=0.1,
        ent_coef=0.01,
        seed=options.seed,
        verbose=1,
    )
    model.learn(options.steps)
    print(f"{model.num_timesteps:,} agent steps, {len(model.ep_info_buffer)} episodes finished")
    envs.close()


if __name__ == "__main__":
    main()
