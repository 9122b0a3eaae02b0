"""The article's save.p, from Python 2 and 3; malicious pickles run nothing."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from fastpg import checkpoint
from fastpg.checkpoint import CheckpointError, load_article_weights, save_article_weights


def article_weights(hidden=4):
    random = np.random.default_rng(7)
    return random.standard_normal((hidden, 6400)), random.standard_normal(hidden)


def python2_pickle(w1, w2):
    """Build by hand what Python 2's cPickle wrote with protocol 2 and NumPy 1.x."""

    def text(value):  # a Python 2 str
        return b"U" + bytes([len(value)]) + value

    def array(value):
        shape = b"".join(b"M" + struct.pack("<H", n) for n in value.shape)
        raw = value.astype("<f8").tobytes()
        return (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
            + text(b"b")
            + b"\x87R(K\x01"
            + (shape + (b"\x86" if value.ndim == 2 else b"\x85"))
            + (b"cnumpy\ndtype\n" + text(b"f8") + b"K\x00K\x01\x87R(K\x03" + text(b"<"))
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
            + (b"T" + struct.pack("<i", len(raw)) + raw + b"tb")
        )

    return b"\x80\x02}q\x01(" + text(b"W1") + array(w1) + text(b"W2") + array(w2) + b"u."


def assert_loads(path, w1, w2):
    ours1, ours2 = load_article_weights(path)
    np.testing.assert_array_equal(ours1, w1.T.astype(np.float32))
    np.testing.assert_array_equal(ours2, w2[None].astype(np.float32))
    for array in (ours1, ours2):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_a_pickle_of_python_2(tmp_path):
    w1, w2 = article_weights()
    data = python2_pickle(w1, w2)
    np.testing.assert_array_equal(pickle.loads(data, encoding="latin1")["W1"], w1)
    (tmp_path / "save.p").write_bytes(data)
    assert_loads(tmp_path / "save.p", w1, w2)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("layout", ["C", "F", ">f8", "f4", "strided"])
def test_pickles_of_python_3(tmp_path, protocol, layout):
    w1, w2 = article_weights()
    if layout in "CF":
        w1 = np.asarray(w1, order=layout)
    elif layout == "strided":
        w1, w2 = np.repeat(w1, 2, axis=1)[:, ::2], np.repeat(w2, 2)[::2]
    else:
        w1, w2 = w1.astype(layout), w2.astype(layout)
    data = pickle.dumps({"W1": w1, "W2": w2}, protocol)
    (tmp_path / "save.p").write_bytes(data)
    assert_loads(tmp_path / "save.p", w1, w2)
    (tmp_path / "save.p").write_bytes(data.replace(b"cnumpy._core", b"cnumpy.core"))  # NumPy 1
    assert_loads(tmp_path / "save.p", w1, w2)


def test_save_article_weights_is_read_by_the_script_and_by_us(tmp_path):
    w1, w2 = article_weights(200)
    w1, w2 = w1.T.astype(np.float32), w2[None].astype(np.float32)
    save_article_weights(tmp_path / "save.p", w1, w2)
    data = (tmp_path / "save.p").read_bytes()
    assert b"_core" not in data
    model = pickle.loads(data)
    assert model["W1"].shape == (200, 6400)
    assert model["W2"].shape == (200,)
    assert model["W1"].dtype == model["W2"].dtype == np.float64
    np.testing.assert_array_equal(model["W1"], w1.T)
    ours1, ours2 = load_article_weights(tmp_path / "save.p")
    np.testing.assert_array_equal(ours1, w1)
    np.testing.assert_array_equal(ours2, w2)
    assert [path.name for path in tmp_path.iterdir()] == ["save.p"]


@pytest.mark.parametrize("shapes", [((6400, 3), (2, 3)), ((6400, 3), (1, 4)), ((12800, 3), (1, 3))])
def test_save_article_weights_refuses_other_networks(tmp_path, shapes):
    w1, w2 = (np.zeros(shape, np.float32) for shape in shapes)
    with pytest.raises(CheckpointError, match=r"save.p: the article's network has w1 \(6400, H\)"):
        save_article_weights(tmp_path / "save.p", w1, w2)
    with pytest.raises(CheckpointError, match=r"save.p: cannot save: No such file"):
        save_article_weights(tmp_path / "none" / "save.p", np.zeros((6400, 3)), np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("model", "match"),
    [
        ({"W1": np.ones((4, 6400))}, r"expected a dict of W1 and W2, got \['W1'\]"),
        ({"W1": np.ones((4, 6400)), "W2": np.ones(4), "b1": np.ones(4)}, "got .*b1"),
        ([1, 2], "expected a dict of W1 and W2, got list"),
        ({"W1": "a", "W2": 3}, "expected W1 and W2 to be arrays"),
        ({"W1": np.ones((4, 6399)), "W2": np.ones(4)}, r"W1: expected \(H, 6400\), got \(4, 6399"),
        ({"W1": np.ones(6400), "W2": np.ones(1)}, r"W1: expected \(H, 6400\), got \(6400,\)"),
        ({"W1": np.ones((4, 6400)), "W2": np.ones((4, 1))}, r"W2: expected \(4,\) to fit W1"),
        ({"W1": np.full((4, 6400), 1e99), "W2": np.ones(4)}, "W1: a weight is not finite"),
        ({"W1": np.ones((4, 6400)), "W2": np.full(4, np.nan)}, "W2: a weight is not finite"),
        ({"W1": np.array([[None]])}, r"refused the array type numpy.dtype\('O8'\)"),
        ({"W1": np.array([(1, 2)], "i4,i4")}, "refused the array type"),
        ({"W1": np.array([1])}, "refused the array type"),
    ],
)
def test_pickles_of_something_else(tmp_path, model, match):
    path = tmp_path / "save.p"
    path.write_bytes(pickle.dumps(model))
    with pytest.raises(CheckpointError, match=match) as caught:
        load_article_weights(path)
    assert str(caught.value).startswith(f"{path}: ")


class Calls:
    """Its pickle calls the function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
DTYPE = b"cnumpy\ndtype\nX\x02\x00\x00\x00%s\x89\x88\x87R"
MALICIOUS = {
    "os.system": (b"cos\nsystem\n(S'touch pwned'\ntR.", "refused the global os.system"),
    "posix.system": (pickle.dumps(Calls(os.system, "touch pwned")), "the global posix.system"),
    "eval": (pickle.dumps(Calls(eval, "1")), "the global builtins.eval"),
    "eval, Python 2": (pickle.dumps(Calls(eval, "1"), 2), "the global __builtin__.eval"),
    "getattr": (pickle.dumps(Calls(getattr, "", "join")), "the global builtins.getattr"),
    "a nested path": (
        b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
        "the global numpy.ndarray.__init__",
    ),
    "numpy.load": (pickle.dumps(Calls(np.load, "x")), "the global numpy.load"),
    "numpy.testing": (b"cnumpy.testing\nrundocs\n.", "the global numpy.testing.rundocs"),
    "runstring": (b"cnumpy.testing._private.utils\nrunstring\n.", "utils.runstring"),
    "instance": (b"(S'touch pwned'\nios\nsystem\n.", "the global os.system"),
    "extension registry": (b"\x80\x02\x82\x01.", "unregistered extension code"),
    "persistent id": (b"Px\n.", "persistent"),
    "numpy.ndarray called": (b"cnumpy\nndarray\n)R.", "refused a direct call"),
    "new object": (b"\x80\x02cnumpy\ndtype\n)\x81.", "not a pickle"),
    "codec": (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.", "encoding 'hex'"),
    "change a global": (b"cnumpy\ndtype\n}S'_function'\nK\x01sb.", "refused to change a global"),
    "slots of a global": (b"cnumpy\ndtype\nN}S'_function'\nK\x01s\x86b.", "refused to change"),
    "pointers": (
        RECONSTRUCT + b"(K\x01K\x01\x85" + DTYPE % b"O8" + b"\x89C\x08AAAAAAAAtb.",
        "refused the array type numpy.dtype('O8')",
    ),
    "no dtype": (RECONSTRUCT + b"(K\x01K\x01\x85N\x89C\x08AAAAAAAAtb.", "not bytes of a float"),
    "more than there is": (
        RECONSTRUCT + b"(K\x01M\xff\xff\x85" + DTYPE % b"f8" + b"\x89C\x08AAAAAAAAtb.",
        "cannot reshape array",
    ),
    "nothing": (b"", "not a pickle"),
    "deep": (b"\x80\x02" + b"(" * 3000 + b"t" * 3000 + b".", "expected a dict"),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_malicious_pickles(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    data, match = MALICIOUS[name]
    Path("save.p").write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load_article_weights("save.p")
    assert str(caught.value).startswith("save.p: ")
    assert match in str(caught.value)
    assert os.listdir() == ["save.p"]


def test_damaged_pickles_are_errors_or_weights(tmp_path):
    path, data = tmp_path / "save.p", python2_pickle(*article_weights(1))
    random = np.random.default_rng(11)
    ends = [*range(300), *(len(data) - n for n in range(1, 250))]
    for place in ends:
        damaged = bytearray(data)
        damaged[place] ^= int(random.integers(1, 256))
        for bad in (bytes(damaged), data[:place]):
            path.write_bytes(bad)
            try:
                w1, w2 = load_article_weights(path)
            except CheckpointError as error:
                text = str(error)
            else:
                text = f"{path}: "
                assert (w1.shape, w2.shape) == ((6400, 1), (1, 1))
            assert text.startswith(f"{path}: ")
            assert "\n" not in text


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"save.p: No such file or directory"):
        load_article_weights(tmp_path / "save.p")


def test_nothing_here_unpickles_freely():
    for module in ("checkpoint.py", "network/article_pickle.py"):
        text = (Path(checkpoint.__file__).parent / module).read_text()
        assert "pickle.load" not in text
        assert "allow_pickle" not in text
