"""A model of ale-py's AtariVectorEnv: observations and infos, in Python over ALEInterface.

It was found by comparing outputs; `test_dqn.py` compares it with AtariVectorEnv. The rules:

**Seeds.** Environment i of a vector that is reset with seed s has seed s + i. A reset with a seed
loads the ROM again: the total frame number is 0 again, and both ALE's generator of sticky actions
and a separate generator of no-ops are MT19937(s + i). A reset without a seed continues both
generators and the total frame number. Of the environments that a masked reset resets, the j-th
has seed s + j; the others keep their observation and info.

**Reset.** reset_game; draw n below `noop_max` (multiply and shift of a raw 32-bit word; words
whose low product is below 2**32 mod `noop_max` are drawn again); if `use_fire_reset` and FIRE is
in the *minimal* action set, one FIRE and **then** max(n - 1, 0) NOOPs; else n NOOPs. Each is one
frame, with its sticky draws. If a NOOP ends the game: reset_game, and the NOOPs go on. The newest
picture of the stack is then the last frame alone, unpooled; all others are black. Rewards are
lost. These frames count in both frame numbers of the info, but not towards
`max_num_frames_per_episode`.

**Step.** Frames 0 .. frameskip - 1 are played one by one. After each: if the game is over, or a
life was lost with `episodic_life`, or the episode has had `max_num_frames_per_episode` frames,
the step ends at once, **before that frame is read**; frames that are skipped draw nothing. Else
frame frameskip - 2 goes to buffer A and frame frameskip - 1 to buffer B; no other frame is read.
At the end B becomes the brighter of A and B, pixel by pixel, in gray and at full size, **in
place**, is shrunk (cv2.INTER_AREA) and is the newest picture of the stack. Without `maxpool`, and
with frameskip 1, A is never filled. A reset sets B to its frame and A to 0.

So if frame k ends the episode, the last observation has as its newest picture
- k < frameskip - 1: the one before, once more (A and B are as they were);
- k = frameskip - 1: the brightest of frame k - 1 and the one before, that is of *three* frames:
  the last two of the step before, and the last but one of this step (of two right after a reset);
- without `maxpool`, or with frameskip 1: always the one before, once more.
The frame that ends an episode is never shown.

**Reward.** The sum over the frames played, clipped to -1 .. 1 if `reward_clipping`; int32.

**Flags.** Terminated: game over, or a life lost with `episodic_life`. Truncated: the limit is
reached and the episode is not terminated. `life_loss_info` also sets terminated (and clears
truncated) if a step ends with fewer lives than it began, but cuts no step short and has nothing
reset.

**Autoreset.** Next-step mode: the step after an end ignores the action and resets; reward 0, both
flags False. Same-step mode: the step itself resets after the end; observation and info are those
after the reset, reward and flags those of the end, and info["final_obs"] holds the last
observation in that environment's row. The key is there if any flag is set; rows of environments
that were not reset hold leftovers. There is no "_final_obs". Both modes reset after a lost life
as after a lost game. The disabled mode is refused (ValueError).

**Info.** env_id, lives, frame_number (total), episode_frame_number, each int32.
"""

from dataclasses import dataclass

import numpy as np
from ale_py import Action, ALEInterface, LoggerMode, roms

HEIGHT, WIDTH, SIDE = 210, 160, 84


def area_weights(source, target):
    """Return the first three source cells that each target cell covers, and their weights."""
    begin = source * np.arange(target)  # in units of 1/target source cells
    cells = begin // target + np.arange(3)[:, None]
    ends = np.minimum(begin + source, target * (cells + 1))
    overlaps = np.maximum(ends - np.maximum(begin, target * cells), 0)
    return np.minimum(cells, source - 1), np.float32(overlaps / source)


COLUMNS, COLUMN_WEIGHTS = area_weights(WIDTH, SIDE)
ROWS, ROW_WEIGHTS = area_weights(HEIGHT, SIDE)


def shrink(picture):
    """Shrink to 84x84: float32 sums along rows, then over rows, each in order; ties to even."""
    sums = np.float32(0)
    for columns, weights in zip(COLUMNS, COLUMN_WEIGHTS, strict=True):
        sums = sums + np.float32(picture)[:, columns] * weights
    out = np.float32(0)
    for rows, weights in zip(ROWS, ROW_WEIGHTS, strict=True):
        out = out + sums[rows] * weights[:, None]
    return np.rint(out).astype(np.uint8)


class NoopGenerator:
    def __init__(self, seed):
        self.words = np.random.RandomState(seed)._bit_generator  # MT19937 seeded as std::mt19937

    def below(self, count):
        while True:
            product = int(self.words.random_raw()) * count
            if product % 2**32 >= 2**32 % count:
                return product >> 32


@dataclass(frozen=True)
class Settings:
    """Arguments of AtariVectorEnv, except the size of the picture, which is a function here."""

    frameskip: int = 4
    stack_num: int = 4
    maxpool: bool = True
    noop_max: int = 30
    use_fire_reset: bool = True
    reward_clipping: bool = True
    episodic_life: bool = False
    life_loss_info: bool = False
    full_action_space: bool = False
    max_num_frames_per_episode: int = 108000
    repeat_action_probability: float = 0.0


class DqnEnv:
    def __init__(self, game, settings, resize=shrink):
        self.game, self.settings, self.resize = game, settings, resize

    def load(self, seed):
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self.noops = NoopGenerator(seed)
        self.ale = ALEInterface()
        self.ale.setInt("random_seed", seed)
        self.ale.setInt("max_num_frames_per_episode", 0)
        sticky = self.settings.repeat_action_probability
        self.ale.setFloat("repeat_action_probability", sticky)
        self.ale.loadROM(roms.get_rom_path(self.game))
        minimal = self.ale.getMinimalActionSet()
        every = self.settings.full_action_space
        self.actions = self.ale.getLegalActionSet() if every else minimal
        self.fires = self.settings.use_fire_reset and Action.FIRE in minimal

    def frame(self):
        return self.ale.getScreenGrayscale().reshape(HEIGHT, WIDTH)

    def reset(self, seed=None):
        if seed is not None:
            self.load(seed)
        self.ale.reset_game()
        most = self.settings.noop_max
        noops = self.noops.below(most) if most > 1 else 0
        if self.fires:
            self.ale.act(Action.FIRE)
            noops = max(noops - 1, 0)
        for _ in range(noops):
            self.ale.act(Action.NOOP)
            if self.ale.game_over():
                self.ale.reset_game()
        self.frames, self.ended, self.lives = 0, False, self.ale.lives()
        self.shown = self.frame()  # buffer B
        self.pooled = np.zeros_like(self.shown)  # buffer A
        newest = self.resize(self.shown)
        self.stack = [np.zeros_like(newest)] * (self.settings.stack_num - 1) + [newest]

    def play(self, action):
        """The frames of a step: reward, and whether the game or the limit ended the episode."""
        s, reward = self.settings, 0
        for k in range(s.frameskip):
            reward += self.ale.act(action)
            self.frames += 1
            self.played = k + 1
            over = self.ale.game_over() or (s.episodic_life and self.ale.lives() < self.lives)
            limit = self.frames >= s.max_num_frames_per_episode
            if over or limit:
                return reward, over, limit and not over
            if k == s.frameskip - 2 and s.maxpool:
                self.pooled = self.frame()
            elif k == s.frameskip - 1:
                self.shown = self.frame()
        return reward, False, False

    def step(self, action):
        reward, terminated, truncated = self.play(self.actions[action])
        self.ended = terminated or truncated
        self.shown = np.maximum(self.shown, self.pooled)
        self.stack = [*self.stack[1:], self.resize(self.shown)]
        if self.settings.life_loss_info and self.ale.lives() < self.lives:
            terminated, truncated = True, False
        self.lives = self.ale.lives()
        if self.settings.reward_clipping:
            reward = max(-1, min(1, reward))
        return reward, terminated, truncated


class DqnVectorEnv:
    def __init__(self, game, num_envs, same_step=False, resize=shrink, **settings):
        self.envs = [DqnEnv(game, Settings(**settings), resize) for _ in range(num_envs)]
        self.same_step = same_step

    def observe(self):
        numbers = [
            (k, e.ale.lives(), e.ale.getFrameNumber(), e.ale.getEpisodeFrameNumber())
            for k, e in enumerate(self.envs)
        ]
        names = ("env_id", "lives", "frame_number", "episode_frame_number")
        columns = np.array(numbers, np.int32).T
        return np.array([e.stack for e in self.envs]), dict(zip(names, columns, strict=True))

    def reset(self, seed=None, mask=None):
        chosen = [e for k, e in enumerate(self.envs) if mask is None or mask[k]]
        for k, env in enumerate(chosen):
            env.reset(None if seed is None else seed + k)
        return self.observe()

    def step(self, actions):
        """Step as AtariVectorEnv; rows of "final_obs" that are no last observation are zeros."""
        results, finals = [], {}
        self.ends = {}  # environment: how many frames the step played that ended its episode
        for k, env in enumerate(self.envs):
            if env.ended:  # in next-step mode
                env.reset()
                results.append((0, False, False))
                continue
            results.append(env.step(actions[k]))
            if env.ended:
                self.ends[k] = env.played
            if env.ended and self.same_step:
                finals[k] = np.array(env.stack)
                env.reset()
        rewards, terminated, truncated = map(np.array, zip(*results, strict=True))
        observations, info = self.observe()
        if self.same_step and (terminated | truncated).any():
            info["final_obs"] = np.zeros_like(observations)
            for k, final in finals.items():
                info["final_obs"][k] = final
        return observations, rewards.astype(np.int32), terminated, truncated, info
