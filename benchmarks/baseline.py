"""The article's algorithm as a plain NumPy loop over one Gymnasium environment, for comparison.

    python benchmarks/baseline.py --episodes 20

It plays and learns with 200 hidden units, difference frames and one RMSProp update per 10 episodes,
without any code of fastpg. It prints one line of JSON: agent steps and emulator frames per second,
the mean score and the seconds.
"""

import argparse
import json
from time import perf_counter

import ale_py
import gymnasium
import numpy as np

UP, DOWN = 2, 3
HIDDEN, INPUTS = 200, 80 * 80
BATCH, GAMMA, DECAY, EPSILON = 10, 0.99, 0.99, 1e-5


def preprocess(frame):
    """The 80x80 binary view of a frame, as a float vector."""
    small = frame[35:195:2, ::2, 0].copy()
    small[(small == 144) | (small == 109)] = 0
    small[small != 0] = 1
    return small.astype(np.float64).ravel()


def discounted_returns(rewards):
    """Discounted returns, cut at every point of the game."""
    returns, running = np.zeros_like(rewards), 0.0
    for t in range(len(rewards) - 1, -1, -1):
        running = rewards[t] + (0.0 if rewards[t] else GAMMA * running)
        returns[t] = running
    return returns


class Network:
    """The two layers, their gradients and RMSProp's mean squares."""

    def __init__(self, rng):
        self.weights = [
            rng.standard_normal((HIDDEN, INPUTS)) / np.sqrt(INPUTS),
            rng.standard_normal(HIDDEN) / np.sqrt(HIDDEN),
        ]
        self.gradients = [np.zeros_like(w) for w in self.weights]
        self.squares = [np.zeros_like(w) for w in self.weights]

    def forward(self, x):
        """Probability of UP, and the hidden units."""
        hidden = self.weights[0] @ x
        hidden[hidden < 0] = 0
        return 1.0 / (1.0 + np.exp(-(self.weights[1] @ hidden))), hidden

    def backward(self, inputs, hiddens, d_logits):
        """Add one episode's gradients."""
        self.gradients[1] += hiddens.T @ d_logits
        d_hidden = np.outer(d_logits, self.weights[1])
        d_hidden[hiddens <= 0] = 0
        self.gradients[0] += d_hidden.T @ inputs

    def update(self, learning_rate):
        """One RMSProp step."""
        for w, g, s in zip(self.weights, self.gradients, self.squares, strict=True):
            s *= DECAY
            s += (1 - DECAY) * g**2
            w += learning_rate * g / (np.sqrt(s) + EPSILON)
            g[:] = 0


def play(env, network, rng, learning_rate, episodes):
    """Play and learn; return the number of agent steps and the scores."""
    steps, scores = 0, []
    for episode in range(1, episodes + 1):
        frame, _ = env.reset(seed=0 if episode == 1 else None)
        previous, done = None, False
        inputs, hiddens, d_logits, rewards = [], [], [], []
        while not done:
            current = preprocess(frame)
            x = current - previous if previous is not None else np.zeros(INPUTS)
            previous = current
            p, hidden = network.forward(x)
            up = rng.random() < p
            frame, reward, terminated, truncated, _ = env.step(UP if up else DOWN)
            done = terminated or truncated
            inputs.append(x)
            hiddens.append(hidden)
            d_logits.append(float(up) - p)
            rewards.append(reward)
        returns = discounted_returns(np.array(rewards))
        returns = (returns - returns.mean()) / returns.std()
        network.backward(np.array(inputs), np.array(hiddens), np.array(d_logits) * returns)
        if episode % BATCH == 0:
            network.update(learning_rate)
        steps += len(rewards)
        scores.append(sum(rewards))
    return steps, scores


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="Pong-v0")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    gymnasium.register_envs(ale_py)
    env = gymnasium.make(arguments.env)
    rng = np.random.default_rng(arguments.seed)
    network = Network(rng)
    began = perf_counter()
    steps, scores = play(env, network, rng, arguments.learning_rate, arguments.episodes)
    seconds = perf_counter() - began
    frames = env.unwrapped.ale.getFrameNumber()
    result = {
        "agent_steps": steps,
        "agent_steps_per_second": steps / seconds,
        "emulator_frames_per_second": frames / seconds,
        "mean_score": float(np.mean(scores)),
        "seconds": seconds,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
