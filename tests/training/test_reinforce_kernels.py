"""The thin loop of REINFORCE: against NumPy in float64, and over Gymnasium's own environments."""

import ale_py
import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import TransformObservation

from fastpg.algorithms.reinforce_kernels import ReinforceKernels
from fastpg.emulator.palette import PALETTE_RED, PALETTE_RGB
from fastpg.envs import AleVectorEnv, NativeVectorEnv
from fastpg.kernels import get_backend
from fastpg.rollouts.returns import ReturnEstimator

SHORT = {"max_num_frames_per_episode": 700}
DOWN_UP = (3, 2)  # Pong's actions LEFT and RIGHT


def make(envs=None, backend="cython", standardize="episode", **changed):
    envs = envs or NativeVectorEnv("Pong-v0", 3, num_threads=1, obs_type="palette", **SHORT)
    settings = {
        "actions": DOWN_UP,
        "outputs": 1,
        "hidden": 8,
        "input": "difference",
        "find_background": True,
        "learning_rate": 1e-3,
        "decay": 0.9,
        "seed": 5,
    }
    estimator = ReturnEstimator(0.95, True, standardize)
    return ReinforceKernels(envs, get_backend(backend), estimator, **settings | changed)


class Pictures(gymnasium.vector.VectorWrapper):
    """Keeps all observations."""

    def reset(self, **options):
        self.pictures = []
        return self.kept(*super().reset(**options))

    def step(self, actions):
        return self.kept(*super().step(actions))

    def kept(self, observations, *rest):
        self.pictures.append(observations.copy())
        return observations, *rest


def expected_inputs(pictures, kind):
    """(T, N, D) float64, from palette pictures (T, N, 210, 160)."""
    steps, games = pictures.shape[:2]
    if kind == "raw":
        return PALETTE_RGB[pictures].reshape(steps, games, -1) / 255
    views = get_backend("reference").preprocess_palette(pictures.reshape(-1, 210, 160), PALETTE_RED)
    views = views.reshape(steps, games, -1).astype(np.float64)
    before = np.concatenate([views[:1], views[:-1]])
    return views - before if kind == "difference" else np.concatenate([views, before], axis=2)


def expected_advantages(rewards, lengths, standardize, gamma=0.95):
    """(T, N) float64: by the article's loop, episode by episode."""
    returns = np.zeros(rewards.shape)
    for game, length in enumerate(lengths):
        running = 0.0
        for t in reversed(range(length)):
            running = rewards[t, game] + (0.0 if rewards[t, game] else gamma * running)
            returns[t, game] = running
    played = [returns[:length, game] for game, length in enumerate(lengths)]
    batch = np.concatenate(played)
    for game, own in enumerate(played):
        over = {"episode": own, "batch": batch, "none": None}[standardize]
        if over is not None:
            returns[: lengths[game], game] = (own - over.mean()) / over.std()
    return returns


@pytest.mark.parametrize(
    ("kind", "standardize"),
    [("difference", "episode"), ("stack", "batch"), ("difference", "none"), ("raw", "episode")],
)
def test_an_update_is_the_article_s_in_float64(kind, standardize):
    envs = Pictures(NativeVectorEnv("Pong-v0", 3, num_threads=1, obs_type="palette", **SHORT))
    algorithm = make(envs, standardize=standardize, input=kind)
    before = {name: tensor.astype(np.float64) for name, tensor in algorithm.tensors().items()}
    played = algorithm.play()
    steps, rewards, active = played.batch
    assert played.lengths == active.sum(axis=0).tolist()
    assert len(set(played.lengths)) > 1  # so that a game plays on after its episode
    assert played.scores == [rewards[:n, game].sum() for game, n in enumerate(played.lengths)]
    algorithm.learn(played)

    x = expected_inputs(np.array(envs.pictures[: len(steps)]), kind)
    actions = np.array([step[-1] for step in steps])
    hidden = np.maximum(x @ before["w1"], 0)
    up = 1 / (1 + np.exp(-hidden @ before["w2"][0]))
    weights = expected_advantages(rewards, played.lengths, standardize)
    dlogit = weights * ((actions == 1) - up)
    dhidden = dlogit[:, :, None] * before["w2"][0] * (hidden > 0)
    gradients = {
        "w1": np.einsum("tnd,tnh->dh", x, dhidden),
        "w2": np.einsum("tn,tnh->h", dlogit, hidden)[None],
    }
    for name, gradient in gradients.items():
        square = 0.9 * before[f"cache_{name}"] + 0.1 * gradient**2
        expected = before[name] + 1e-3 * gradient / (np.sqrt(square) + 1e-5)
        found = algorithm.tensors()
        far = np.abs(gradient) > 1e-3  # where RMSProp's quotient does not hang on rounding
        np.testing.assert_allclose(found[name][far], expected[far], rtol=0, atol=2e-6)
        np.testing.assert_allclose(found[f"cache_{name}"], square, rtol=1e-3, atol=1e-6)


def gymnasium_s_own(env_id):
    gymnasium.register_envs(ale_py)
    return SyncVectorEnv([lambda: gymnasium.make(env_id, **SHORT) for _ in range(3)])


@pytest.mark.filterwarnings("ignore:.*out of date")
@pytest.mark.parametrize("env_id", ["Pong-v0", "ALE/Pong-v5"])
def test_gymnasium_s_environments_give_the_same_weights(env_id):
    """RGB pictures of ale-py by Gymnasium, palette pictures of ours on both emulators."""
    runs = []
    for envs in (
        gymnasium_s_own(env_id),
        AleVectorEnv(env_id, 3, num_threads=1, obs_type="rgb", **SHORT),
        NativeVectorEnv(env_id, 3, num_threads=2, obs_type="palette", **SHORT),
    ):
        algorithm = make(envs)
        scores = []
        for _ in range(2):
            played = algorithm.play()
            scores.append((played.scores, played.lengths, played.emulator_frames))
            algorithm.learn(played)
        runs.append((scores, algorithm.tensors()))
        algorithm.close()
    for scores, tensors in runs[1:]:
        assert scores == runs[0][0]
        for name, tensor in tensors.items():
            assert tensor.tobytes() == runs[0][1][name].tobytes(), name


def test_updates_make_good_actions_likelier():
    algorithm = make(learning_rate=1e-4)
    played = algorithm.play()
    steps, rewards, _ = played.batch
    weights = expected_advantages(rewards, played.lengths, "episode")

    def objective():
        forward, weights_now = algorithm.kernels.policy_forward, (algorithm.w1, algorithm.w2)
        up = [forward(*inputs, *weights_now)[1][:, 0] for *inputs, _, _, _ in steps]
        chosen = np.array([step[-1] for step in steps]) == 1
        return float((weights * np.log(np.where(chosen, up, 1 - np.array(up, np.float64)))).sum())

    before = objective()
    for _ in range(5):
        algorithm.learn(played)
    assert objective() > before


def test_an_environment_that_waits_for_a_reset_is_refused():
    envs = NativeVectorEnv("Pong-v0", 2, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(
        ValueError, match=r"^envs: expected autoreset in the next step, got AutoresetMode\.DISABLED"
    ):
        make(envs)


@pytest.mark.parametrize("obs_type", ["ram", "pong80", "dqn"])
def test_observations_that_are_no_frames_are_refused(obs_type):
    envs = NativeVectorEnv("Pong-v0", 2, obs_type=obs_type)
    with pytest.raises(
        ValueError, match=r"^envs: expected \(2, 210, 160\) or .* frames, got \(2, "
    ):
        make(envs)


@pytest.mark.parametrize("backend", ["numba", "cython", "reference"])
@pytest.mark.parametrize("kind", ["difference", "raw"])
@pytest.mark.parametrize(
    "change",
    [
        lambda frames: frames[:, ::2, ::2],
        lambda frames: frames[:1],
        lambda frames: frames / 255.0,
        lambda frames: frames.astype(np.int8),
        lambda frames: frames[..., None],
    ],
    ids=["smaller", "of one game", "float64", "int8", "of one colour"],
)
def test_frames_that_are_not_as_the_space_says_are_refused(change, kind, backend):
    envs = NativeVectorEnv("Pong-v0", 3, obs_type="palette", **SHORT)
    with pytest.raises(ValueError, match=r"^envs: expected .* uint8 frames, got \("):
        make(TransformObservation(envs, change), backend=backend, input=kind)


@pytest.mark.parametrize("wrong", [np.float64, np.int32])
def test_weights_of_another_dtype_are_refused(wrong):
    algorithm = make()
    tensors = algorithm.tensors()
    with pytest.raises(ValueError, match=r"^w1: expected .* 'float32'\), got .* '\w+'\)$"):
        algorithm.restore(tensors | {"w1": tensors["w1"].astype(wrong)})


class Rearranged(gymnasium.vector.VectorWrapper):
    """The same frames in column-major order; rewards and infos in one array for all steps."""

    def reset(self, **options):
        frames, infos = super().reset(**options)
        self.rewards, self.ages = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)
        return np.asfortranarray(frames), infos

    def step(self, actions):
        frames, rewards, *ends, infos = super().step(actions)
        self.rewards[:], self.ages[:] = rewards, infos["episode_frame_number"]
        infos["episode_frame_number"] = self.ages
        return np.asfortranarray(frames), self.rewards, *ends, infos


def test_the_memory_of_an_environment_s_arrays_does_not_matter():
    plain = make()
    rearranged = make(Rearranged(make().envs))
    frames = []
    for algorithm in (plain, rearranged):
        played = algorithm.play()
        frames.append(played.emulator_frames)
        algorithm.learn(played)
    assert frames[0] == frames[1]
    for name, tensor in plain.tensors().items():
        np.testing.assert_array_equal(rearranged.tensors()[name], tensor, err_msg=name)
