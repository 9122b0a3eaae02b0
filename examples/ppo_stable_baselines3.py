"""Stable-Baselines3's PPO on Pong's vector environment of fastpg.

    python examples/ppo_stable_baselines3.py --steps 1000000

Stable-Baselines3 has a vector interface of its own, older than Gymnasium's. The adapter below is
all that it takes: the games stay in one compiled environment, on threads, in this process.
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
    """A Gymnasium vector environment, with autoreset in the same step, as Stable-Baselines3's."""

    def __init__(self, envs: gymnasium.vector.VectorEnv):
        self.envs = envs
        self.render_mode = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> np.ndarray:
        """Begin all games anew, with the seeds that ``seed`` has set."""
        seeds = self._seeds if any(seed is not None for seed in self._seeds) else None
        observations, _ = self.envs.reset(seed=seeds)
        self._reset_seeds()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions: they are played by ``step_wait``."""
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict]]:
        """Play a step of every game."""
        observations, rewards, terminated, truncated, infos = self.envs.step(self.actions)
        dones = terminated | truncated
        each: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(dones):
            each[i]["terminal_observation"] = infos["final_obs"][i]
            each[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return observations, rewards.astype(np.float32), dones, each

    def close(self) -> None:
        """End the threads."""
        self.envs.close()

    # ---- of single games, which nobody can reach into -------------------------------------------

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the environment, once for each game."""
        return [getattr(self.envs, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused."""
        raise NotImplementedError("games of one environment have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list:
        """Refused."""
        raise NotImplementedError("games of one environment have no methods of their own")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """No game is wrapped."""
        return [False] * len(list(self._get_indices(indices)))


def main(argv: Sequence[str] | None = None) -> None:
    """Train and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="fastpg/Pong-v5", help="rules of the game")
    parser.add_argument("--steps", type=int, default=1_000_000, help="agent steps in all")
    parser.add_argument("--games", type=int, default=8, help="played at the same time")
    parser.add_argument("--rollout", type=int, default=128, help="steps of each game an update")
    parser.add_argument("--minibatch", type=int, default=256, help="steps of one gradient")
    parser.add_argument("--epochs", type=int, default=4, help="times through an update's steps")
    parser.add_argument("--seed", type=int, default=0, help="of weights, games and actions")
    options = parser.parse_args(argv)

    rules = {"frameskip": 4, "noop_max": 30} if "NoFrameskip" in options.env else {}
    envs = gymnasium.make_vec(
        options.env,
        num_envs=options.games,
        obs_type="dqn",  # (4, 84, 84): four grey pictures, as ale-py's AtariVectorEnv shows them
        autoreset_mode="SameStep",
        **rules,
    )
    model = PPO(
        "CnnPolicy",
        VecMonitor(Games(envs)),  # notes each episode's score
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
