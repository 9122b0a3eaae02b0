"""Views as tiles, and the tile network's weights and forward pass, against NumPy."""

import errno
import mmap
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpg.kernels import get_backend
from fastpg.network import _network
from fastpg.network._network import Learner, Network, Pool, RolloutBuffer
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from tests.support.tile_model import PIXELS, SIDE, Model, Slots, make_network, make_slots, pong_like

INPUT_SPECS = [  # input, hidden units, side of the cells
    (InputSpec((0, 1), True), 150, 0),
    (InputSpec((0,)), 5, 1),
    (InputSpec((0, 1)), 64, 0),
    (InputSpec((0, 2, 5)), 70, 0),
    (InputSpec((0, 5)), 70, 7),
    (InputSpec((0, 3), True, 3), 8, 5),
    (InputSpec((0, 1, 2), False, 5), 5, 80),
]


# ---- tiles ------------------------------------------------------------------------------------


def tiles_of(view: np.ndarray) -> np.ndarray:
    """Tiles (tiles, 4) of a view (80, 80): column, row, width, height."""
    buffer = RolloutBuffer(1, PIXELS)
    end = buffer.observe(0, 0, 0, np.ascontiguousarray(view, np.uint8).ravel())
    assert (buffer.tile_offsets[0], buffer.tile_counts[0]) == (0, end)
    kind, pixel = np.divmod(buffer.tiles[:end].astype(int), PIXELS)
    column, row = np.divmod(pixel, SIDE)
    return np.stack([column, row, 1 + kind // 4, 1 << kind % 4], axis=1)


def check_tiling(view: np.ndarray) -> np.ndarray:
    """Each lit pixel is in one tile, no dark one is, and the tiles are in the stated order."""
    tiles, covered = tiles_of(view), np.zeros((SIDE, SIDE), int)
    for column, row, width, height in tiles:
        assert column + width <= SIDE
        assert row + height <= SIDE
        assert (column < SIDE // 2) == (column + width - 1 < SIDE // 2)
        covered[row : row + height, column : column + width] += 1
    np.testing.assert_array_equal(covered, view)
    positions = [(column >= SIDE // 2, row, column) for column, row, _, _ in tiles]
    assert positions == sorted(set(positions))
    assert set(map(tuple, tiles[:, 2:])) <= {(w, h) for w in (1, 2) for h in (1, 2, 4, 8)}
    return tiles


@st.composite
def views(draw):
    """Noise of any density, with lit and dark rectangles on it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    view = rng.random((SIDE, SIDE)) < draw(st.sampled_from([0, 0.002, 0.1, 0.5, 0.9, 1]))
    for _ in range(draw(st.integers(0, 6))):
        column, row = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
        width, height = draw(st.integers(1, SIDE)), draw(st.integers(1, SIDE))
        view[row : row + height, column : column + width] = draw(st.booleans())
    return view


@settings(max_examples=150, deadline=None)
@given(views())
def test_tiles_cover_each_lit_pixel_once(view):
    check_tiling(view)


def test_special_views():
    checkerboard = np.indices((SIDE, SIDE)).sum(axis=0) % 2
    for view, count in (
        (np.zeros((SIDE, SIDE)), 0),
        (np.ones((SIDE, SIDE)), SIDE // 2 * SIDE // 8),
        (checkerboard, PIXELS // 2),
        (np.arange(SIDE) % 2 * np.ones((SIDE, 1)), SIDE // 2 * SIDE // 8),
    ):
        assert len(check_tiling(view)) == count
    for view in pong_like(np.random.default_rng(1), 50):
        assert len(check_tiling(view.reshape(SIDE, SIDE))) <= 10  # two tiles would be enough


def test_a_paddle_is_two_tiles_and_two_pixels_are_two():
    view = np.zeros((SIDE, SIDE))
    view[10:18, 70:74] = 1
    assert tiles_of(view).tolist() == [[70, 10, 2, 8], [72, 10, 2, 8]]
    view[:] = 0
    view[3:5, 39] = 1
    assert tiles_of(view).tolist() == [[39, 3, 1, 1], [39, 4, 1, 1]]
    view[3:5, 40] = 1  # no tile reaches across the middle
    assert tiles_of(view)[:, 0].tolist() == [39, 39, 40, 40]


def test_a_view_is_written_only_where_it_fits():
    buffer, view = RolloutBuffer(3, 2 * PIXELS), np.indices((SIDE, SIDE)).sum(axis=0).ravel() % 2
    view = view.astype(np.uint8)
    assert buffer.observe(0, PIXELS, 0, view) == PIXELS + PIXELS // 2
    for slot, tile in ((3, 0), (-1, 0), (0, PIXELS + 1), (0, -1)):
        with pytest.raises(IndexError):
            buffer.observe(slot, tile, 0, view)
    with pytest.raises(ValueError, match="6400"):
        buffer.observe(0, 0, 0, view[:-1])
    with pytest.raises(OverflowError):
        buffer.observe(0, 0, 256, view)
    for slots, capacity in ((0, 1), (1, 0), (2**31, 1), (1, 2**32)):
        with pytest.raises(ValueError, match=f"expected 1 to .*, got {slots}, {capacity}"):
            RolloutBuffer(slots, capacity)


# ---- weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [1, 64, 70, 128])
@pytest.mark.parametrize(
    ("actions", "outputs", "value"), [(2, 1, False), (2, 1, True), (4, 4, True)]
)
def test_weights_go_in_and_out(hidden, actions, outputs, value):
    input_spec = InputSpec((0, 1), True, 1)
    network = make_network(input_spec, hidden, actions, outputs, value)
    tensors = network.tensors()
    assert tensors["w1"].shape == (PIXELS + actions, hidden)
    assert tensors["w2"].shape == (outputs, hidden)
    assert ("value" in tensors) == value
    other = TileNetwork(hidden, input_spec, actions, outputs, value)
    other.load(tensors)
    kept = {name: tensor.copy() for name, tensor in tensors.items()}
    for tensor in tensors.values():  # copies: nothing that is done to them is done to a network
        tensor[:] = 0
    for name, tensor in kept.items():
        np.testing.assert_array_equal(other.tensors()[name], tensor)
        np.testing.assert_array_equal(network.tensors()[name], tensor)
    with pytest.raises(ValueError, match="w1: expected"):
        other.load(kept | {"w1": kept["w1"][1:]})
    with pytest.raises(ValueError, match="w2, value: expected"):
        other.load(
            kept | {"w2": kept["w2"][:, 1:], **({"value": kept["value"][:, 1:]} if value else {})}
        )


@pytest.mark.parametrize("cell", [1, 5, 7, 80])
def test_weights_of_pixels_and_cells_add_up(cell):
    """w1 of a network with cells makes the same network without cells, up to rounding."""
    input_spec = InputSpec((0, 3), False, 2)
    network = make_network(input_spec, 70, 3, 3, True, cell=cell)
    tensors = network.tensors()
    across = -(-SIDE // cell)
    own, rest = np.split(tensors["w1_parts"].astype(np.float64), [2 * PIXELS + 6])
    assert rest.shape == (2 * across**2, 70)
    assert rest.any()
    y, x = np.divmod(np.arange(PIXELS), SIDE)
    for plane, cells in enumerate(np.split(rest, 2)):
        own[plane * PIXELS :][:PIXELS] += cells[x // cell * across + y // cell]
    np.testing.assert_allclose(tensors["w1"], own, rtol=0, atol=2.0**-24 * 2)
    plain = TileNetwork(70, input_spec, 3, 3, True)
    plain.load(tensors)
    other = TileNetwork(70, input_spec, 3, 3, True, cell)
    other.load(tensors)
    np.testing.assert_array_equal(other.tensors()["w1_parts"], tensors["w1_parts"])
    other.load({name: tensors[name] for name in ("w1", "w2", "value")})
    assert not other.tensors()["w1_parts"][2 * PIXELS + 6 :].any()
    buffer = make_slots(np.random.default_rng(cell), 9, 3).buffer()
    for slot in range(9):
        (p, v), (q, w) = (n.core.evaluate(buffer, slot) for n in (network, plain))
        np.testing.assert_allclose([*p, v], [*q, w], rtol=1e-4, atol=1e-5)


def test_weights_are_drawn_with_the_given_scales():
    network = TileNetwork(100, InputSpec((0, 1)), 2, 1, True)
    for pixels, policy, expected in ((None, None, 1 / 12800**0.5), (0.05, 0.01, 0.05)):
        network.initialize(3, pixels, policy)
        tensors = network.tensors()
        assert tensors["w1"].std() == pytest.approx(expected, rel=0.01)
        assert tensors["w2"].std() == pytest.approx(policy or 0.1, rel=0.3)
        assert tensors["value"].std() == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize(
    "arguments",
    [
        (8, (), False, 0, 2, 1, False),
        (8, tuple(range(9)), False, 0, 2, 1, False),
        (8, (1, 2), False, 0, 2, 1, False),
        (8, (0, 2, 1), False, 0, 2, 1, False),
        (8, (0, 1, 1), False, 0, 2, 1, False),
        (8, (0, 33), False, 0, 2, 1, False),
        (8, (-1, 0), False, 0, 2, 1, False),
        (8, (1,), False, 0, 2, 1, False),
        (8, (0, 1), False, 17, 2, 1, False),
        (8, (0, 1), False, -1, 2, 1, False),
        (8, (0, 1), False, 0, 1, 1, False),
        (8, (0, 1), False, 0, 19, 19, False),
        (8, (0, 1), False, 0, 3, 1, False),
        (8, (0, 1), False, 0, 4, 3, False),
        (8, (0, 1, 2), True, 0, 2, 1, False),
        (8, (0, 1), False, 0, 2, 1, False, -1),
        (8, (0, 1), False, 0, 2, 1, False, 81),
    ],
)
def test_impossible_networks_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        Network(*arguments)


# ---- forward ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("input_spec", "hidden", "cell"), INPUT_SPECS, ids=str)
@pytest.mark.parametrize(("actions", "outputs"), [(2, 1), (4, 4)])
def test_choices_equal_the_dense_network(input_spec, hidden, cell, actions, outputs):
    """Probabilities and values up to float32 rounding; actions as by the kernel table's ops."""
    rng, kernels = np.random.default_rng(hidden), get_backend("reference")
    slots = make_slots(rng, 24, actions)
    buffer, samples = slots.buffer(), np.arange(24)
    network = TileNetwork(hidden, input_spec, actions, outputs, True, cell)
    for seed in (1, 2):  # the second weights must invalidate all cached sums
        network.initialize(seed, 0.1, None)
        model = Model(network, actions)
        x, terms = model.inputs(slots, samples)
        _, probabilities, values = model.forward(x)
        off = model.rounding(x, terms)
        assert np.median(off) < 1e-3  # the bound is tight
        uniforms = kernels.counter_uniforms(
            np.full(24, 7, np.uint64), samples.astype(np.uint64), seed
        )
        for i in rng.permutation(samples):
            buffer.actions[:] = slots.actions
            action = network.core.choose(buffer, i, seed, 7, i)
            assert buffer.actions[i] == action
            rows = probabilities[i : i + 1].astype(np.float32)
            near = np.abs(np.cumsum(rows) - uniforms[i]).min() <= off[i].max() + 1e-7
            assert near or action == kernels.sample_actions(rows, uniforms[i : i + 1])[0]
            expected = model.action_probs(probabilities[i : i + 1], np.array([action]))[0]
            slope = 2 * expected * (1 - expected)  # largest derivative of a probability by a logit
            assert abs(buffer.action_probs[i] - expected) <= 2 * slope * off[i, :-1].max() + 1e-7
            assert abs(buffer.values[i] - values[i]) <= off[i, -1] + 1e-7


def test_full_views_of_all_kinds_of_tiles():
    """Up to 6,400 lit pixels, in tiles of all sizes; the first difference of an episode is 0."""
    checkerboard = np.indices((SIDE, SIDE)).sum(axis=0).ravel() % 2
    views_ = np.array([checkerboard, np.ones(PIXELS), 1 - checkerboard], np.uint8)
    slots = Slots(views_, np.arange(3, dtype=np.uint8), np.zeros(3, np.uint8), np.ones(3))
    buffer = slots.buffer()
    assert buffer.tile_counts.tolist() == [3200, 400, 3200]
    for input_spec in (InputSpec((0, 1), True), InputSpec((0, 2, 5))):
        network = make_network(input_spec, 66, 2, 1, True)
        model = Model(network, 2)
        x, terms = model.inputs(slots, range(3))
        values, off = model.forward(x)[2], model.rounding(x, terms)
        for i in range(3):
            network.core.choose(buffer, i, 0, 0, 0)
            assert abs(buffer.values[i] - values[i]) <= off[i, -1]
        if input_spec.difference:
            assert buffer.values[0] == 0
            assert buffer.action_probs[0] == 0.5


def test_saturated_policies_keep_probabilities_that_ratios_can_divide_by():
    """An action of probability 5e-42 is taken where the uniform is 0, once in 2**24 steps."""
    stream, step = 0, 14_883_995
    numbers = np.array([stream], np.uint64), np.array([step], np.uint64)
    assert get_backend("reference").counter_uniforms(*numbers, 0)[0] == 0
    network = TileNetwork(1, InputSpec((0,)), 2, 1, False)
    slots = make_slots(np.random.default_rng(0), 8, 2)
    buffer = slots.buffer()
    lit = slots.views[0].sum(dtype=float)
    network.load({"w1": np.ones((PIXELS, 1)), "w2": np.full((1, 1), -95 / lit)})
    network.core.choose(buffer, 0, 0, stream, step)
    assert buffer.actions[0] == 1
    assert buffer.action_probs[0] == np.finfo(np.float32).tiny
    learner, ones = Learner(network.core, Pool(1), 8), np.ones(8, np.float32)
    learner.gradient(buffer, np.zeros(1, np.int32), ones, ones, np.inf, 0, 0, 1)
    assert np.isfinite(learner.norm())
    network.core.choose(buffer, 0, 0, stream, step + 1)
    assert (buffer.actions[0], buffer.action_probs[0]) == (0, 1)


def test_weights_that_are_not_finite_show_in_results():
    network = TileNetwork(3, InputSpec((0,)), 2, 1, False)
    buffer = make_slots(np.random.default_rng(0), 8, 2).buffer()
    network.load({"w1": np.full((PIXELS, 3), np.nan), "w2": np.ones((1, 3))})
    network.core.choose(buffer, 0, 0, 0, 0)
    assert np.isnan(buffer.action_probs[0])
    learner, ones = Learner(network.core, Pool(1), 8), np.ones(8, np.float32)
    learner.gradient(buffer, np.zeros(1, np.int32), ones, ones, np.inf, 0, 0, 1)
    assert np.isnan(learner.norm())


def test_slots_that_look_back_beyond_the_buffer_are_refused():
    network = make_network(InputSpec((0, 1), False, 3), 8, 2, 1, False)
    buffer = RolloutBuffer(4, 4 * PIXELS)
    buffer.episode_steps[:] = 9
    for slot in (-1, 0, 2, 4):
        with pytest.raises(IndexError, match=f"slot {slot}"):
            network.core.choose(buffer, slot, 0, 0, 0)
    network.core.choose(buffer, 3, 0, 0, 0)
    learner, zeros = Learner(network.core, Pool(1), 8), np.zeros(4, np.float32)
    for samples, error in (([2], IndexError), ([4], IndexError), ([-1], IndexError)):
        with pytest.raises(error):
            learner.gradient(buffer, np.array(samples, np.int32), zeros, zeros, 1, 0, 0, 1)
    buffer.actions[3] = 2
    with pytest.raises(ValueError, match="action"):
        learner.gradient(buffer, np.array([3], np.int32), zeros, zeros, 1, 0, 0, 1)
    with pytest.raises(ValueError, match="advantages, returns"):
        learner.gradient(buffer, np.array([3], np.int32), zeros[1:], zeros, 1, 0, 0, 1)
    with pytest.raises(ValueError, match="most_samples"):
        Learner(network.core, Pool(1), 0)
    with pytest.raises(ValueError, match="threads"):
        Pool(0)


# ---- memory -----------------------------------------------------------------------------------


class Refusing(mmap.mmap):
    """mmap on a kernel without huge pages."""

    def madvise(self, *_):
        raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize("pages", ["of this system", "refused", "without advice"])
def test_scattered_zeros_are_zeros_of_their_own(monkeypatch, pages):
    if pages == "refused":
        if not hasattr(mmap, "MADV_NOHUGEPAGE"):
            pytest.skip("this system has no advice to refuse")
        names = "MAP_PRIVATE", "MAP_ANONYMOUS", "MADV_NOHUGEPAGE"
        system = SimpleNamespace(mmap=Refusing, **{name: getattr(mmap, name) for name in names})
        monkeypatch.setattr(_network, "mmap", system)
    elif pages == "without advice":
        monkeypatch.setattr(_network, "mmap", SimpleNamespace())
    first, second = (_network.scattered_zeros((3, 5, 64), np.float32) for _ in range(2))
    first[1, 2] = 7
    assert (first.shape, first.dtype, first.sum()) == ((3, 5, 64), np.float32, 7 * 64)
    assert not second.any()
    assert first.flags.c_contiguous
    assert first.ctypes.data % 64 == 0


def test_a_network_without_hidden_units_is_refused():
    with pytest.raises(ValueError, match=r"^hidden: expected at least 1, got 0$"):
        TileNetwork(0, InputSpec(), 2, 1, False)
