"""PPO in one file, in PyTorch, on Pong's vector environment of fastpg.

    python examples/ppo_torch.py                # sixteen games at once, 2 million steps
    python examples/ppo_torch.py --env fastpg/PongNoFrameskip-v4  # no sticky actions: easier

The environment plays in compiled code on threads and hands out 80x80 views of 0 and 1; the network
sees two of them, the present one and the one before. Of their 12,800 pixels some sixty are lit, so
the first layer is a sum of as many rows: ``frame_stack``, a kernel of fastpg, finds the pixels, and
an ``EmbeddingBag`` adds up their rows. Advantages come from another kernel. All else is PyTorch.
"""

import argparse
from collections import deque
from time import perf_counter

import gymnasium
import numpy as np
import torch
from torch import nn

import fastpg  # noqa: F401  registers the environments
from fastpg.kernels import frame_stack, generalized_advantages

ACTIONS = (0, 2, 3)  # NOOP, RIGHT (up), LEFT (down); Pong's other three are these with FIRE
VIEW = 80 * 80


def arguments() -> argparse.Namespace:
    """What can be set on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="fastpg/Pong-v5", help="rules of the game")
    parser.add_argument("--steps", type=float, default=2e6, help="agent steps in all")
    parser.add_argument("--games", type=int, default=16, help="played at the same time")
    parser.add_argument("--rollout", type=int, default=128, help="steps of each game an update")
    parser.add_argument("--minibatch", type=int, default=512, help="steps of one gradient")
    parser.add_argument("--epochs", type=int, default=4, help="times through an update's steps")
    parser.add_argument("--hidden", type=int, default=128, help="hidden units")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of Adam, falls to 0")
    parser.add_argument("--gamma", type=float, default=0.99, help="discount a step")
    parser.add_argument("--gae-lambda", type=float, default=0.95, help="trust in rewards")
    parser.add_argument("--clip", type=float, default=0.2, help="how far a ratio may leave 1")
    parser.add_argument("--entropy", type=float, default=0.01, help="weight of the entropy")
    parser.add_argument("--seed", type=int, default=0, help="of weights, games and actions")
    return parser.parse_args()


class Agent(nn.Module):
    """Two layers, as in the article; heads for the policy and for the value."""

    def __init__(self, hidden: int):
        super().__init__()
        self.pixels = nn.EmbeddingBag(2 * VIEW, hidden, mode="sum")
        self.policy, self.value = nn.Linear(hidden, len(ACTIONS)), nn.Linear(hidden, 1)
        nn.init.normal_(self.pixels.weight, std=0.05)
        nn.init.normal_(self.policy.weight, std=0.01)

    def forward(
        self, now: np.ndarray, before: np.ndarray
    ) -> tuple[torch.distributions.Categorical, torch.Tensor]:
        """Distribution of actions and values (B,) from views (B, 6400) uint8."""
        lit, _, offsets = frame_stack(now, before)
        rows = torch.from_numpy(lit.astype(np.int64)), torch.from_numpy(offsets[:-1])
        features = self.pixels(*rows).relu()
        policy = torch.distributions.Categorical(logits=self.policy(features))
        return policy, self.value(features).squeeze(-1)


class Games:
    """The vector environment, the last two views of each game, and the scores."""

    def __init__(self, env: str, games: int, seed: int):
        rules = {"frameskip": 4, "noop_max": 30} if "NoFrameskip" in env else {}
        # In the same step as an episode's end the next one begins, so every step is played.
        self.envs = gymnasium.make_vec(
            env, num_envs=games, obs_type="pong80", autoreset_mode="SameStep", **rules
        )
        self.now, _ = self.envs.reset(seed=seed)
        self.before = self.now  # an episode's first view has itself before it
        self.scores = np.zeros(games)
        self.finished: deque[float] = deque(maxlen=100)

    def step(self, choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Play one step: rewards and ends (N,) each."""
        now, rewards, terminated, truncated, _ = self.envs.step(np.array(ACTIONS)[choices])
        ended = terminated | truncated
        self.scores += rewards
        self.finished.extend(self.scores[ended])
        self.scores[ended] = 0
        self.now, self.before = now, np.where(ended[:, None], now, self.now)
        return rewards, ended


def rollout(agent: Agent, games: Games, steps: int) -> dict[str, np.ndarray]:
    """Play so many steps of each game; arrays are (T, N, ..), values (T+1, N)."""
    count = len(games.now)
    played = {
        "now": np.empty((steps, count, VIEW), np.uint8),
        "before": np.empty((steps, count, VIEW), np.uint8),
        "actions": np.empty((steps, count), np.int64),
        "chances": np.empty((steps, count), np.float32),
        "rewards": np.empty((steps, count), np.float32),
        "dones": np.empty((steps, count), np.bool_),
        "values": np.empty((steps + 1, count), np.float32),
    }
    with torch.no_grad():
        for t in range(steps):
            policy, values = agent(games.now, games.before)
            actions = policy.sample()
            played["now"][t], played["before"][t] = games.now, games.before
            played["actions"][t] = actions
            played["chances"][t], played["values"][t] = policy.log_prob(actions), values
            played["rewards"][t], played["dones"][t] = games.step(actions.numpy())
        played["values"][steps] = agent(games.now, games.before)[1]
    return played


def learn(
    agent: Agent, optimizer: torch.optim.Optimizer, played: dict, options: argparse.Namespace
) -> None:
    """Some epochs of minibatches along PPO's clipped objective."""
    advantages, returns = generalized_advantages(
        played["rewards"], played["dones"], played["values"], options.gamma, options.gae_lambda
    )
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    now, before = played["now"].reshape(-1, VIEW), played["before"].reshape(-1, VIEW)
    arrays = (played["actions"], played["chances"], advantages, returns)
    flat = [torch.from_numpy(array.ravel()) for array in arrays]
    for _ in range(options.epochs):
        for chosen in torch.randperm(len(now)).split(options.minibatch):
            actions, chances, advantage, target = (array[chosen] for array in flat)
            policy, values = agent(now[chosen], before[chosen])
            ratio = (policy.log_prob(actions) - chances).exp()
            clipped = ratio.clamp(1 - options.clip, 1 + options.clip)
            gain = torch.minimum(ratio * advantage, clipped * advantage).mean()
            loss = 0.5 * (values - target).square().mean()
            objective = gain - loss + options.entropy * policy.entropy().mean()
            optimizer.zero_grad()
            (-objective).backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()


def main() -> None:
    """Train, and say every few updates how it goes."""
    options = arguments()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # sums of sixty rows are too small to share
    torch.set_flush_denormal(True)  # moments of pixels that went dark would slow Adam down
    agent = Agent(options.hidden)
    optimizer = torch.optim.Adam(agent.parameters(), lr=options.learning_rate, eps=1e-5)
    games = Games(options.env, options.games, options.seed)
    each = options.games * options.rollout
    updates = max(int(options.steps) // each, 1)
    began = perf_counter()
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = options.learning_rate * (1 - update / updates)
        learn(agent, optimizer, rollout(agent, games, options.rollout), options)
        if update % 20 == 19 or update == updates - 1:
            steps, seconds = (update + 1) * each, perf_counter() - began
            score = f"{np.mean(games.finished):+.1f}" if games.finished else "none yet"
            print(
                f"{steps:9,} steps, {steps / seconds:7,.0f} a second, mean score of the last "
                f"{len(games.finished)} episodes: {score}",
                flush=True,
            )
    games.envs.close()


if __name__ == "__main__":
    main()
