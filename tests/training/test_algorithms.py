"""REINFORCE and PPO on tiles: against the kernel table, NumPy, and their own objective."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fastpg.algorithms.base import Diverged
from fastpg.algorithms.build import make_algorithm
from fastpg.cli.resolve import resolve
from fastpg.config import preset
from fastpg.kernels import get_backend
from fastpg.rollouts import base
from tests.support.tile_model import Loss, Model, slots_of

PONG = replace(preset("pong"), emulator="native", backend="tiles", hidden=8, threads=1)
PONG = replace(PONG, episodes_per_batch=3, num_envs=2)
FAST = replace(
    preset("fast"), emulator="native", backend="tiles", hidden=8, threads=1, allow_noop=False
)
FAST = replace(FAST, num_envs=3, steps_per_update=50, minibatch=64, anneal_steps=0, cells=5)


def make(config):
    """On episodes of at most 600 frames."""
    spec = resolve(config)
    rules = replace(spec.rules, max_num_frames_per_episode=600)
    return make_algorithm(replace(spec, rules=rules))


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.tobytes() == second[name].tobytes(), name


def kept(algorithm):
    return {name: tensor.copy() for name, tensor in algorithm.tensors().items()}


# ---- REINFORCE --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["difference", "stack"])
def test_reinforce_on_tiles_is_reinforce_with_the_kernel_table(kind):
    """The same first weights, episodes and first step, but for rounding."""
    config = replace(PONG, input=kind, num_envs=None)
    tiles, ops = make(config), make(replace(config, backend="cython"))
    for name in ("w1", "w2"):
        np.testing.assert_array_equal(tiles.tensors()[name], ops.tensors()[name])
    played, expected = tiles.play(), ops.play()
    samples, rewards, lengths = played.batch
    steps, expected_rewards, active = expected.batch
    assert lengths == played.lengths == expected.lengths
    assert played.scores == expected.scores
    assert played.agent_steps == expected.agent_steps == sum(lengths)
    assert played.emulator_frames == expected.emulator_frames
    actions = np.array([step[-1] for step in steps]).T[active.T]  # episode after episode
    np.testing.assert_array_equal(tiles.collector.buffer.actions[samples], actions)
    np.testing.assert_array_equal(rewards, expected_rewards.T[active.T])
    tiles.learn(played)
    ops.learn(expected)
    got, wanted = tiles.tensors(), ops.tensors()
    for name, gradient in (("w1", ops.dw1), ("w2", ops.dw2)):
        # The first step is rate * g / (0.1 |g| + 1e-5): where g is near 0, steep. Sums of all
        # samples are off by some roundings of their largest parts; 1 - decay is another float32.
        off = 3e-6 * np.abs(gradient).max()
        nearest = np.maximum(np.abs(gradient) - off, 0)
        bound = config.learning_rate * off * 1e-5 / (0.1 * nearest + 1e-5) ** 2
        bound += 3e-7 * np.abs(wanted[name]) + 2e-5 * config.learning_rate
        assert (np.abs(got[name] - wanted[name]) <= bound).all()
        lit = gradient != 0
        assert np.median(bound[lit]) < 1e-3 * config.learning_rate
        np.testing.assert_array_equal(got[name][~lit], wanted[name][~lit])
    assert got["episode"] == wanted["episode"] == 3


def test_reinforce_rejects_a_gradient_that_is_not_finite():
    algorithm = make(PONG)
    algorithm.network.core.w2[:] = np.inf
    algorithm.network.core.changed()
    played, before = algorithm.play(), kept(algorithm)
    with pytest.raises(Diverged, match="the gradient is not finite"):
        algorithm.learn(played)
    assert_same(kept(algorithm), before)


# ---- PPO --------------------------------------------------------------------------------------


def played_model(algorithm, settings):
    """Model of the weights, inputs of a round's samples, and what they are learned from."""
    games, buffer, gamma = algorithm.collector, algorithm.collector.buffer, settings.gamma
    rewards, ends, values = (
        games.rows(name, settings.steps_per_update + extra).astype(np.float64)
        for name, extra in (("rewards", 0), ("dones", 0), ("values", 1))
    )
    rewards[rewards < 0] *= settings.lost_point_weight
    advantages, running = np.zeros_like(rewards), np.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        alive = 1 - ends[t]
        delta = rewards[t] + gamma * alive * values[t + 1] - values[t]
        running = delta + gamma * settings.gae_lambda * alive * running
        advantages[t] = running
    returns = advantages + values[:-1]
    standard = (advantages - advantages.mean()) / advantages.std()
    samples = games.samples(settings.steps_per_update)
    model, slots = Model(algorithm.network, 2), slots_of(buffer)
    x, terms = model.inputs(slots, samples)
    rest = (
        slots.actions[samples],
        slots.action_probs[samples],
        standard.T.ravel(),
        returns.T.ravel(),
    )
    return model, x, terms, rest


@pytest.mark.parametrize(("kind", "lost_point_weight"), [("stack", 1.0), ("difference", 3.0)])
def test_one_epoch_without_clip_is_an_actor_critic(kind, lost_point_weight):
    """Its one gradient, cut to length, is that of log pi A + entropy - value error."""
    config = replace(FAST, input=kind, epochs=1, clip=np.inf, minibatch=10_000, past_actions=2)
    config = replace(config, max_grad_norm=0.01, lost_point_weight=lost_point_weight)
    algorithm = make(config)
    for _ in range(2):  # the second round begins in the midst of episodes
        played = algorithm.play()
        model, x, terms, rest = played_model(algorithm, config)
        loss = Loss(np.inf, config.entropy, config.value_weight, 1 / len(x))
        expected, magnitudes = model.gradients(x, terms, *rest, loss)
        mean, heads = (algorithm.optimizer.tensors()[f"mean_{part}"] for part in ("w1", "w2"))
        algorithm.learn(played)
    assert algorithm.collector.rows("rewards", config.steps_per_update).min() < 0
    core, network = algorithm.optimizer.core, algorithm.network
    lit = terms.any(axis=0)[:, None]
    got = network.rows_outside(core.gradient1), network.heads_outside(core.gradient2)
    assert not got[0][~lit[:, 0]].any()
    for gradient, wanted, size in zip(got, expected, magnitudes, strict=True):
        assert (np.abs(gradient - wanted) <= 3e-5 * size + 1e-12).all()
    norm = np.sqrt(sum((g**2).sum() for g in expected))
    assert norm > config.max_grad_norm  # so that it is cut
    factor = config.max_grad_norm / norm
    after = algorithm.optimizer.tensors()
    for before, part, gradient in ((mean, "w1", expected[0]), (heads, "w2", expected[1])):
        moved = np.where(lit, 0.9 * before, before) if part == "w1" else 0.9 * before
        wanted = moved + 0.1 * factor * gradient
        np.testing.assert_allclose(after[f"mean_{part}"], wanted, rtol=1e-3, atol=1e-6)


def test_an_update_of_ppo_improves_its_objective():
    config = replace(FAST, epochs=4, learning_rate=1e-3, final_learning_rate=1e-3)
    algorithm = make(config)
    played = algorithm.play()
    model, x, _, rest = played_model(algorithm, config)
    loss = Loss(config.clip, config.entropy, config.value_weight, 1 / len(x))
    before = model.objective(x, *rest, loss)
    algorithm.learn(played)
    after = Model(algorithm.network, 2)
    assert after.objective(x, *rest, loss) > before + 0.01
    ratio = after.action_probs(after.forward(x)[1], rest[0]) / rest[1]
    assert np.abs(ratio - 1).max() > 0.01
    assert np.mean(np.abs(ratio - 1) < 2 * config.clip) > 0.9


def test_step_size_and_entropy_go_to_their_ends(monkeypatch):
    config = replace(FAST, anneal_steps=300, learning_rate=0.4, final_learning_rate=0.1, epochs=2)
    config = replace(config, entropy=0.4, minibatch=150)  # rounds of 150 steps
    algorithm, rates = make(config), []

    def adam_step(buffer, samples, advantages, returns, objective, learning_rate):
        rates.append((learning_rate, objective.entropy))

    monkeypatch.setattr(algorithm.optimizer, "adam_step", adam_step)
    for _ in range(4):
        algorithm.learn(algorithm.play())
    wanted = [(0.4, 0.4), (0.25, 0.2), (0.1, 0.0), (0.1, 0.0)]
    assert np.array(rates) == pytest.approx(np.repeat(wanted, 2, axis=0))
    constant = make(replace(config, anneal_steps=0))
    monkeypatch.setattr(constant.optimizer, "adam_step", adam_step)
    constant.learn(constant.play())
    assert rates[-1] == (0.4, 0.4)


def test_ppo_rejects_a_gradient_that_is_not_finite():
    algorithm = make(FAST)
    algorithm.network.core.w2[:] = np.nan
    algorithm.network.core.changed()
    with pytest.raises(Diverged, match="the gradient is not finite"):
        algorithm.learn(algorithm.play())


def test_scores_and_lengths_are_those_of_the_episodes():
    """Over some rounds, with the two games' episodes of different lengths."""
    config = replace(FAST, steps_per_update=200, num_envs=2)
    algorithm, rewards, ends, found = make(config), [], [], []
    for _ in range(3):
        played = algorithm.play()
        assert played.agent_steps == 400
        rewards.append(algorithm.collector.rows("rewards", 200))
        ends.append(algorithm.collector.rows("dones", 200))
        found += zip(played.scores, played.lengths, strict=True)
        algorithm.learn(played)
    rewards, ends = np.concatenate(rewards), np.concatenate(ends)
    episodes = []
    for game in range(2):
        cuts = [0, *(np.flatnonzero(ends[:, game]) + 1)]
        for begin, end in pairwise(cuts):
            episodes.append((begin, game, rewards[begin:end, game].sum(), end - begin))
    assert 4 <= len(found) < len(episodes) + 1
    assert found == [(score, length) for _, _, score, length in sorted(episodes)[: len(found)]]


# ---- broken off, saved, on more threads -------------------------------------------------------


class BrokenOff:
    """A compiled rollout that is interrupted at the end of its first call."""

    def __init__(self, core):
        self._core = core

    def __getattr__(self, name):
        return getattr(self._core, name)

    def play(self, *limits):
        self._core.play(*[limit // 2 for limit in limits])
        raise KeyboardInterrupt


@pytest.mark.parametrize("config", [PONG, FAST], ids=["reinforce", "ppo"])
def test_play_that_is_broken_off_leaves_no_trace(config):
    straight, other = make(config), make(config)
    for _ in range(3):
        before = kept(other)
        core, other.collector.core = other.collector.core, BrokenOff(other.collector.core)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                other.play()
            assert_same(kept(other), before)
        other.collector.core = core
        other.play()  # to its end, but the signal came before anybody learned from it
        assert_same(kept(other), before)
        for algorithm in (straight, other):
            algorithm.learn(algorithm.play())
        assert_same(kept(straight), kept(other))


@pytest.mark.parametrize(
    "config",
    [PONG, replace(PONG, input="stack", views=(0, 1, 4), past_actions=3), FAST],
    ids=["reinforce", "stack", "ppo"],
)
def test_saved_algorithms_and_threads_change_nothing(config):
    straight, results = make(config), []
    for _ in range(3):
        straight.learn(straight.play())
    for threads in (1, 2):
        algorithm = make(replace(config, threads=threads))
        for _ in range(3):
            algorithm.learn(algorithm.play())
            tensors = kept(algorithm)
            algorithm.close()
            algorithm = make(replace(config, threads=threads))
            algorithm.restore(tensors)
            assert_same(kept(algorithm), tensors)
        results.append(kept(algorithm))
    for tensors in results:
        assert_same(tensors, kept(straight))


@pytest.mark.parametrize("config", [PONG, FAST], ids=["reinforce", "ppo"])
def test_states_of_another_layout_are_refused_at_once(config):
    algorithm = make(config)
    tensors = kept(algorithm)
    tensors["game_0"][0] += 1
    with pytest.raises(ValueError, match="layout"):
        algorithm.restore(tensors)


@pytest.mark.parametrize("config", [PONG, FAST], ids=["reinforce", "ppo"])
def test_learning_needs_no_backend_but_the_compiled_one(config, monkeypatch):
    compiled = get_backend("cython")

    def only_compiled(name):
        assert name == "cython"
        return compiled

    monkeypatch.setattr(base, "get_backend", only_compiled)
    algorithm = make(config)
    algorithm.learn(algorithm.play())
