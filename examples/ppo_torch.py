"""PPO in PyTorch, in one file, on fastpg's vector environment of Pong.

    python examples/ppo_torch.py                # sixteen games in parallel, 2 million steps
    python examples/ppo_torch.py --env fastpg/PongNoFrameskip-v4  # no sticky actions: easier

The environment plays in compiled code on threads and returns 80x80 binary views. The network sees
two views, the current and the previous one. About sixty of their 12,800 pixels are lit, so the
first layer is a sum of sixty rows: fastpg's kernel ``frame_stack`` finds the lit pixels, and an
``EmbeddingBag`` adds their rows. fastpg's kernel ``generalized_advantages`` computes the
advantages. The rest is plain PyTorch.
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
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="fastpg/Pong-v5", help="rules of the game")
    parser.add_argument("--steps", type=float, default=2e6, help="agent steps in total")
    parser.add_argument("--games", type=int, default=16, help="games played in parallel")
    parser.add_argument("--rollout", type=int, default=128, help="steps per game and update")
    parser.add_argument("--minibatch", type=int, default=512, help="steps per gradient")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the steps of an update")
    parser.add_argument("--hidden", type=int, default=128, help="hidden units")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of Adam; decays to 0")
    parser.add_argument("--gamma", type=float, default=0.99, help="discount per step")
    parser.add_argument("--gae-lambda", type=float, default=0.95, help="lambda of GAE")
    parser.add_argument("--clip", type=float, default=0.2, help="ratios stay within 1 +- clip")
    parser.add_argument("--entropy", type=float, default=0.01, help="weight of the entropy")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, games and actions")
    return parser.parse_args()


class Agent(nn.Module):
    """The article's two layers, with a policy head and a value head."""

    def __init__(self, hidden: int):
        super().__init__()
        self.pixels = nn.EmbeddingBag(2 * VIEW, hidden, mode="sum")
        self.policy, self.value = nn.Linear(hidden, len(ACTIONS)), nn.Linear(hidden, 1)
        nn.init.normal_(self.pixels.weight, std=0.05)
        nn.init.normal_(self.policy.weight, std=0.01)

    def forward(
        self, now: np.ndarray, before: np.ndarray
    ) -> tuple[torch.distributions.Categorical, torch.Tensor]:
        """Action distributions and values (B,) from views (B, 6400) uint8."""
        lit, _, offsets = frame_stack(now, before)
        rows = torch.from_numpy(lit.astype(np.int64)), torch.from_numpy(offsets[:-1])
        features = self.pixels(*rows).relu()
        policy = torch.distributions.Categorical(logits=self.policy(features))
        return policy, self.value(features).squeeze(-1)


class Games:
    """The vector environment, each game's last two views, and the scores."""

    def __init__(self, env: str, games: int, seed: int):
        rules = {"frameskip": 4, "noop_max": 30} if "NoFrameskip" in env else {}
        # Same-step autoreset starts the next episode at once, so no step is lost.
        self.envs = gymnasium.make_vec(
            env, num_envs=games, obs_type="pong80", autoreset_mode="SameStep", **rules
        )
        self.now, _ = self.envs.reset(seed=seed)
        self.before = self.now  # an episode's first view is its own previous view
        self.scores = np.zeros(games)
        self.finished: deque[float] = deque(maxlen=100)

    def step(self, choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Step every game; return rewards (N,) and dones (N,)."""
        now, rewards, terminated, truncated, _ = self.envs.step(np.array(ACTIONS)[choices])
        dones = terminated | truncated
        self.scores += rewards
        self.finished.extend(self.scores[dones])
        self.scores[dones] = 0
        self.now, self.before = now, np.where(dones[:, None], now, self.now)
        return rewards, dones


def rollout(agent: Agent, games: Games, steps: int) -> dict[str, np.ndarray]:
    """Play ``steps`` steps of each game; arrays are (T, N, ..), values (T+1, N)."""
    count = len(games.now)
    buffer = {
        "now": np.empty((steps, count, VIEW), np.uint8),
        "before": np.empty((steps, count, VIEW), np.uint8),
        "actions": np.empty((steps, count), np.int64),
        "log_probs": np.empty((steps, count), np.float32),
        "rewards": np.empty((steps, count), np.float32),
        "dones": np.empty((steps, count), np.bool_),
        "values": np.empty((steps + 1, count), np.float32),
    }
    with torch.no_grad():
        for t in range(steps):
            policy, values = agent(games.now, games.before)
            actions = policy.sample()
            buffer["now"][t], buffer["before"][t] = games.now, games.before
            buffer["actions"][t] = actions
            buffer["log_probs"][t], buffer["values"][t] = policy.log_prob(actions), values
            buffer["rewards"][t], buffer["dones"][t] = games.step(actions.numpy())
        buffer["values"][steps] = agent(games.now, games.before)[1]
    return buffer


def learn(
    agent: Agent, optimizer: torch.optim.Optimizer, buffer: dict, options: argparse.Namespace
) -> None:
    """Maximise PPO's clipped objective: some epochs of minibatches."""
    advantages, returns = generalized_advantages(
        buffer["rewards"], buffer["dones"], buffer["values"], options.gamma, options.gae_lambda
    )
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    now, before = buffer["now"].reshape(-1, VIEW), buffer["before"].reshape(-1, VIEW)
    arrays = (buffer["actions"], buffer["log_probs"], advantages, returns)
    flat = [torch.from_numpy(array.ravel()) for array in arrays]
    for _ in range(options.epochs):
        for chosen in torch.randperm(len(now)).split(options.minibatch):
            actions, old_log_probs, advantage, target = (array[chosen] for array in flat)
            policy, values = agent(now[chosen], before[chosen])
            ratio = (policy.log_prob(actions) - old_log_probs).exp()
            clipped = ratio.clamp(1 - options.clip, 1 + options.clip)
            surrogate = torch.minimum(ratio * advantage, clipped * advantage).mean()
            value_loss = 0.5 * (values - target).square().mean()
            objective = surrogate - value_loss + options.entropy * policy.entropy().mean()
            optimizer.zero_grad()
            (-objective).backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()


def main() -> None:
    """Train, and print the progress every 20 updates."""
    options = arguments()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # sums of sixty rows are too small to split
    torch.set_flush_denormal(True)  # decaying moments of dark pixels would slow Adam down
    agent = Agent(options.hidden)
    optimizer = torch.optim.Adam(agent.parameters(), lr=options.learning_rate, eps=1e-5)
    games = Games(options.env, options.games, options.seed)
    batch = options.games * options.rollout
    updates = max(int(options.steps) // batch, 1)
    began = perf_counter()
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = options.learning_rate * (1 - update / updates)
        learn(agent, optimizer, rollout(agent, games, options.rollout), options)
        if update % 20 == 19 or update == updates - 1:
            steps, seconds = (update + 1) * batch, perf_counter() - began
            score = f"{np.mean(games.finished):+.1f}" if games.finished else "none yet"
            print(
                f"{steps:9,} steps, {steps / seconds:7,.0f} a second, mean score of the last "
                f"{len(games.finished)} episodes: {score}",
                flush=True,
            )
    games.envs.close()


if __name__ == "__main__":
    main()
