"""Checkpoints: round trips, damage of every kind, the folder, kills at random moments."""

import errno
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import SafetensorError

import fastpg
from fastpg.checkpoint import CheckpointError, checkpoints, load, save
from fastpg.system.atomic_file import AtomicFile

DTYPES = ["bool", "uint8", "int8", "uint16", "int32", "uint64", "float16", "float32", "float64"]
ARRAYS = st.sampled_from([*DTYPES, ">f4", ">i8"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)
NAMES = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.just("checksum")
).filter(
    lambda name: not name.startswith("w1")  # such names may be packed weights
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def tensors_of(value):
    return {"w1": np.full((5, 3), value, np.float32), "state": np.arange(7, dtype=np.uint8)}


def error_of(path):
    with pytest.raises(CheckpointError) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- round trips --------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(NAMES, ARRAYS, max_size=4),
    st.dictionaries(st.text(), JSON, max_size=4),
    st.integers(0, 10**9),
)
def test_what_is_saved_is_loaded(tmp_path_factory, tensors, state, update):
    run = tmp_path_factory.mktemp("run")
    path = save(run, update, tensors, state)
    assert path == run / "checkpoints" / f"{update:08d}.safetensors"
    read = load(run)
    assert (read.update, read.state, read.path) == (update, state, path)
    assert read.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        got = read.tensors[name]
        assert got.dtype == array.dtype.newbyteorder("=")
        assert got.shape == array.shape
        assert got.tobytes() == array.astype(got.dtype).tobytes()
        assert got.flags.writeable
        assert got.flags.c_contiguous


def test_strided_arrays_are_saved_as_they_read(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    save(tmp_path, 1, {"transposed": base.T, "every second": base[::2, ::2]}, {})
    read = load(tmp_path)
    np.testing.assert_array_equal(read.tensors["transposed"], base.T)
    np.testing.assert_array_equal(read.tensors["every second"], base[::2, ::2])


def test_other_safetensors_readers_open_it(tmp_path):
    path = save(tmp_path, 1, tensors_of(2), {})
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["w1"], tensors_of(2)["w1"])


def test_a_copied_file_knows_its_update(tmp_path):
    path = save(tmp_path, 120, tensors_of(1), {})
    assert load(path.rename(tmp_path / "best.safetensors")).update == 120


@pytest.mark.parametrize(
    ("tensors", "state", "match"),
    [
        ({"a": np.array([None])}, {}, "a: cannot save dtype object"),
        ({"a": np.array(["x"])}, {}, "a: cannot save dtype"),
        ({"a": [1.0]}, {}, "a: expected an array, got list"),
        ({"__metadata__": np.ones(1)}, {}, "__metadata__"),
        ({}, {"a": object()}, "not JSON serializable"),
    ],
)
def test_arguments_that_cannot_be_saved(tmp_path, tensors, state, match):
    with pytest.raises(TypeError, match=match):
        save(tmp_path, 1, tensors, state)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [{"update": -1}, {"keep": 0}])
def test_numbers_out_of_range(tmp_path, bad):
    with pytest.raises(ValueError, match=r"expected update >= 0 and keep >= 1"):
        save(**{"run_dir": tmp_path, "update": 1, "tensors": {}, "state": {}, **bad})


# ---- damage -------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path):
    """A good checkpoint, a newer one to damage, and the bytes of the newer one."""
    good = save(tmp_path, 9, tensors_of(9), {"n": 9})
    bad = save(tmp_path, 10, tensors_of(10), {"n": 10})
    return good, bad, bad.read_bytes()


def test_every_truncation_is_found(two):
    good, bad, data = two
    for length in range(len(data)):
        bad.write_bytes(data[:length])
        text = error_of(bad)
        assert text.startswith(f"{bad}: ")
        assert text.endswith(f"; newest good one: {good}")
    bad.write_bytes(data + b"\0")
    assert f"corrupt: {len(data) + 1} bytes, expected {len(data)}" in error_of(bad)
    bad.write_bytes(data[:-1])
    assert f"truncated: {len(data) - 1} bytes, expected {len(data)}" in error_of(bad.parent.parent)


def test_every_changed_byte_is_found(two):
    good, bad, data = two
    random = np.random.default_rng(1)
    for place in range(len(data)):
        # a tab for a space of the padding is still JSON: only the checksum finds it
        for flip in {0x20 ^ 0x09, 1 << int(random.integers(8)), int(random.integers(1, 256))}:
            damaged = bytearray(data)
            damaged[place] ^= flip
            bad.write_bytes(damaged)
            text = error_of(bad)
            assert text.startswith(f"{bad}: ")
            assert text.endswith(f"; newest good one: {good}")


def test_the_newest_good_one_is_good(tmp_path):
    files = [save(tmp_path, update, tensors_of(update), {}) for update in (1, 2, 3)]
    for file in files[1:]:
        file.write_bytes(file.read_bytes()[:-1])
    assert error_of(tmp_path).startswith(f"{files[2]}: truncated")
    assert error_of(tmp_path).endswith(f"newest good one: {files[0]}")
    files[0].unlink()
    assert "newest good" not in error_of(tmp_path)


def foreign_safetensors(metadata):
    return safetensors.numpy.save({"w1": np.ones(3)}, metadata)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "empty file"),
        (b"abc", "truncated, or not a checkpoint"),
        (np.random.default_rng(2).bytes(4096), "truncated, or not a checkpoint"),
        (struct.pack("<Q", 64) + np.random.default_rng(3).bytes(64), "not a safetensors file"),
        (struct.pack("<Q", 2) + b"[]", "not a safetensors file"),
        (struct.pack("<Q", 10000) + b"[" * 10000, "not a safetensors file"),
        (pickle.dumps({"W1": np.ones(9)}), "truncated, or not a checkpoint"),
        (foreign_safetensors(None), "not a fastpg checkpoint"),
        (foreign_safetensors({"format": "pt"}), "not a fastpg checkpoint"),
        (foreign_safetensors({"format": "fastpg-checkpoint 2"}), "a newer fastpg wrote it"),
        (foreign_safetensors({"format": "fastpg-checkpoint 1"}), "checksum does not match"),
    ],
)
def test_foreign_files(tmp_path, data, match):
    good = save(tmp_path, 1, {}, {})
    path = tmp_path / "checkpoints" / "00000002.safetensors"
    path.write_bytes(data)
    assert match in error_of(path)
    assert error_of(tmp_path) == error_of(path)
    assert error_of(path).endswith(f"newest good one: {good}")


def test_missing_ones_and_folders(tmp_path):
    assert error_of(tmp_path / "none") == f"{tmp_path / 'none'}: No such file or directory"
    assert error_of(tmp_path) == f"{tmp_path}: no checkpoint in {tmp_path / 'checkpoints'}"
    assert checkpoints(tmp_path) == []
    good = save(tmp_path, 5, {}, {})
    missing = good.with_name("00000006.safetensors")
    assert error_of(missing).endswith(f"No such file or directory; newest good one: {good}")
    missing.mkdir()  # a folder with that name is not a checkpoint
    assert load(tmp_path).update == 5
    assert load(good.parent).update == 5
    assert "no checkpoint in" in error_of(missing)


# ---- the folder ---------------------------------------------------------------------------------


def updates(run):
    return [int(path.stem) for path in checkpoints(run)]


def test_only_the_newest_are_kept(tmp_path):
    for update in (1, 2, 3, 10, 99_999_999, 100_000_000):
        save(tmp_path, update, {}, {}, keep=3)
    assert updates(tmp_path) == [10, 99_999_999, 100_000_000]
    other = tmp_path / "checkpoints" / "best.safetensors"
    other.write_bytes(b"mine")
    save(tmp_path, 100_000_001, {}, {}, keep=1)
    assert updates(tmp_path) == [100_000_001]
    assert other.exists()


def test_a_run_taken_back_keeps_what_it_saves(tmp_path):
    for update in (100, 110, 120):
        save(tmp_path, update, {}, {})
    save(tmp_path, 101, {}, {}, keep=1)
    assert updates(tmp_path) == [101, 110, 120]


def test_dead_temporary_files_are_removed_and_nothing_else(tmp_path):
    folder = save(tmp_path, 1, {}, {}).parent
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = [f".0000000{k}.safetensors.tmp-{ended.pid}" for k in (2, 4)]
    dead += [f".00000002.safetensors.tmp-{pid}" for pid in (os.getpid(), 10**30)]
    alive = [f".00000002.safetensors.tmp-{os.getppid()}", ".x.tmp-1", "00000002.safetensors.tmp"]
    for name in dead + alive:
        (folder / name).mkdir()
        (folder / name / "half").write_bytes(b"half")
    save(tmp_path, 3, {}, {})
    left = {path.name for path in folder.iterdir()}
    assert left == {"00000001.safetensors", "00000003.safetensors", *alive}


def test_a_full_disk_leaves_the_older_ones(tmp_path, monkeypatch):
    good = save(tmp_path, 1, tensors_of(1), {})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_to_safetensors(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    for module, name, function in (
        (safetensors.numpy, "save_file", full_to_safetensors),
        (os, "fsync", full),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, function)
            said = r"00000002.safetensors: cannot save: .*No space left"
            with pytest.raises(CheckpointError, match=said):
                save(tmp_path, 2, tensors_of(2), {})
        assert list(good.parent.iterdir()) == [good]
        assert load(tmp_path).update == 1


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_are_for_those_whom_the_umask_lets(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        path = save(tmp_path, 1, tensors_of(1), {})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


def test_an_interrupted_save_leaves_no_temporary_file(tmp_path, monkeypatch):
    good = save(tmp_path, 1, {}, {})

    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 2, {}, {})
    assert list(good.parent.iterdir()) == [good]


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "checkpoints").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"00000001.safetensors: cannot save: File exists"):
        save(tmp_path, 1, {}, {})


def test_an_old_one_that_cannot_be_removed_is_a_warning(tmp_path, monkeypatch):
    save(tmp_path, 1, {}, {})

    def denied(self, missing_ok=False):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", denied)
    with pytest.warns(UserWarning, match=r"00000001.safetensors: cannot remove: Permission denied"):
        save(tmp_path, 2, {}, {}, keep=1)


# ---- any file ------------------------------------------------------------------------------------


def test_an_atomic_file_replaces(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("before")
    with AtomicFile(path) as file:
        file.temporary.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["page.html"]


def test_an_atomic_file_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError), AtomicFile(path) as file:
        file.temporary.write_text("after \ud800", encoding="utf-8")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["page.html"]


# ---- kills ---------------------------------------------------------------------------------------

# One process forks and kills all children, so the imports are paid for once.
KILLS = """
import os, random, signal, sys, time
import numpy as np
from fastpg.checkpoint import checkpoints, load, save

run, random = sys.argv[1], random.Random(5)
def saved(n, keep=3):
    tensors = {"w1": np.full(300_000, n, np.float32), "n": np.array(n)}
    return save(run, n, tensors, {"n": n}, keep)
saved(1)
start = time.perf_counter()
saved(2)
once = time.perf_counter() - start
torn, grown = 0, 0
for kill in range(25):
    first = load(run).update
    child = os.fork()
    if not child:
        n = first
        while True:
            n += 1
            saved(n)
    time.sleep(random.uniform(0.2, 6) * once)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    torn += any(name.startswith(".") for name in os.listdir(run + "/checkpoints"))
    newest = load(run)
    grown += newest.update > first
    for path in checkpoints(run):
        one = load(path)
        assert one.update == one.state["n"] == one.tensors["n"] == int(path.stem)
        assert one.tensors["w1"].shape == (300_000,) and (one.tensors["w1"] == one.update).all()
    assert newest.update >= first
saved(newest.update + 1)
assert not any(name.startswith(".") for name in os.listdir(run + "/checkpoints"))
print("torn", torn, "grown", grown)
"""


def test_a_kill_at_any_moment_leaves_whole_checkpoints(tmp_path):
    root = Path(fastpg.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLS, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    torn, grown = map(int, done.stdout.split()[1::2])
    assert grown > 0, "no child ever saved"
    assert torn > 0, "no kill ever fell into a save"
