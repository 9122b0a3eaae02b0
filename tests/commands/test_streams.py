"""Commands whose output is closed, full or lacks a letter, and errors before a command begins."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from fastpg.cli.main import COMMANDS
from tests.support.small_runs import FAST, small_run

EVALUATE = ["evaluate", "--episodes", "1"]
TRAIN = "train --episodes 2 --episodes-per-batch 2 --hidden 8 --threads 1".split()


def fastpg(words, **options):
    """Run a command; return (exit code, output, errors) of the streams that are ours."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    ran = subprocess.run([sys.executable, "-m", "fastpg", *words], check=False, **options)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture(scope="module")
def full():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with open("/dev/full", "w") as file:
        yield file


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("streams") / "run", FAST)


LOUD = [EVALUATE, [*EVALUATE, "--json"], ["--version"], ["evaluate", "--help"]]


@pytest.mark.parametrize("words", LOUD, ids=" ".join)
def test_results_that_cannot_be_printed_are_a_failure(words, full):
    name = "fastpg.evaluate" if "evaluate" in words else "fastpg"
    expected = f"{name}: standard output: No space left on device\n"
    assert fastpg(words, stdout=full) == (1, None, expected)
    closed = partial(os.close, 1)
    code, _, err = fastpg(words, stdout=None, preexec_fn=closed)
    assert (code, err) == (1, f"{name}: standard output: Bad file descriptor\n")


@pytest.mark.parametrize("words", [["--help"], *LOUD], ids=" ".join)
def test_a_reader_that_has_left_is_a_quiet_failure(words):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert fastpg(words, stdout=writing) == (1, None, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("how", ["closed", "full"])
def test_errors_that_cannot_be_printed_keep_the_exit_code(how, full):
    options = {"stderr": full}
    if how == "closed":
        options = {"stderr": None, "preexec_fn": partial(os.close, 2)}
    assert fastpg([*EVALUATE, "--seed", "-1"], **options)[0] == 2
    assert fastpg(["trian"], **options)[0] == 2
    code, out, _ = fastpg(EVALUATE, **options)
    assert code == 0
    assert "mean score" in out


@pytest.mark.parametrize("how", ["closed", "full", "all closed"])
def test_a_run_goes_on_without_its_output(tmp_path, how, full):
    folder = tmp_path / "run"
    options = {"stdout": full}
    if how == "closed":
        options = {"stdout": None, "preexec_fn": partial(os.close, 1)}
    elif how == "all closed":
        options = {"stdout": None, "stderr": None, "preexec_fn": partial(os.closerange, 0, 3)}
    code, _, err = fastpg([*TRAIN, "--run-dir", str(folder)], **options)
    assert (code, err) == (0, None if how == "all closed" else "")
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1
    assert list((folder / "checkpoints").glob("*.safetensors"))


@pytest.mark.parametrize("name", ["größe", "\u2603", os.fsdecode(b"caf\xe9")])
def test_names_that_the_output_cannot_show(tmp_path, name):
    folder = tmp_path / name
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    run_ascii = partial(fastpg, env=environment)
    code, out, err = run_ascii([*TRAIN, "--run-dir", str(folder)])
    assert (code, err) == (0, "")
    assert ascii(name).strip("'") in out.replace("\n", "")
    code, out, err = run_ascii(["evaluate", str(folder), "--episodes", "1", "--env", "Pong-v0"])
    assert (code, err) == (0, "")
    code, out, err = run_ascii(["report", str(folder), "--video-seconds", "0"])
    assert (code, err) == (0, "") or "needs the [report] extra" in err
    code, out, err = run_ascii(["evaluate", str(folder / "none")])
    assert code == 2
    assert err.count("\n") == 1
    assert run_ascii(["train", "--resume", str(folder), "--episodes", "4"])[0] == 0


# ---- before a command begins -----------------------------------------------------------------


def with_stand_in(tmp_path, package, code):
    """An environment in which a package is another one, with this code."""
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(code)
    root = Path(__file__).resolve().parents[2]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("way", [["-m", "fastpg", "{}"], ["-m", "fastpg.{}"]])
def test_ctrl_c_while_modules_are_imported(tmp_path, name, way):
    code = "import time\nprint('imported', flush=True)\ntime.sleep(60)\n"
    words = [word.format(name) for word in way]
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=tmp_path,
        env=with_stand_in(tmp_path, "tyro", code),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "imported\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err.count("\n") == 1
    assert "interrupted" in err


@pytest.mark.parametrize("package", ["ale_py", "tyro", "numpy"])
@pytest.mark.parametrize("way", [["-m", "fastpg", "evaluate"], ["-m", "fastpg.evaluate"]])
def test_a_missing_package_is_named(tmp_path, package, way):
    code = f"raise ModuleNotFoundError('No module named {package}', name='{package}')\n"
    ran = subprocess.run(
        [sys.executable, *way, "--episodes", "1"],
        cwd=tmp_path,
        env=with_stand_in(tmp_path, package, code),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert f"the package {package} is missing: pip install fastpg-rl, or pip install -e ." in (
        ran.stderr
    )
    assert ran.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def uncompiled(tmp_path_factory):
    """A folder with the package as a checkout that nobody has compiled has it."""
    folder = tmp_path_factory.mktemp("checkout")
    source = Path(sys.modules["fastpg"].__file__).parent
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "csrc", "pretrained")
    shutil.copytree(source, folder / "fastpg", ignore=ignored)
    return folder


@pytest.mark.parametrize("words", [["-m", "fastpg.train"], ["-m", "fastpg", "--version"]])
def test_a_checkout_that_hides_the_installation(uncompiled, words):
    ran = subprocess.run(
        [sys.executable, *words], cwd=uncompiled, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert f"{uncompiled}/fastpg has no compiled modules for Python 3." in ran.stderr
    assert "run the command in another folder, or compile the checkout" in ran.stderr


def test_pytest_in_such_a_checkout(uncompiled):
    conftest = Path(__file__).resolve().parents[2] / "conftest.py"
    shutil.copy(conftest, uncompiled)
    (uncompiled / "benchmarks").mkdir()
    for words in ([], ["--benchmark"]):
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=uncompiled,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 4
        assert "ERROR: " in ran.stderr
        assert "has no compiled modules for Python 3." in ran.stderr
        assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("fault", ["missing", "another", "long"])
@pytest.mark.parametrize("name", ["train", "evaluate", "watch"])
def test_a_rom_that_is_missing_or_another(tmp_path, fault, name):
    """ale-py's folder of ROMs, but for Pong's."""
    if name == "watch":
        pytest.importorskip("PIL")
    rom = tmp_path / "pong.bin"
    rom.write_bytes(bytes(4096 if fault == "another" else 5000))
    if fault == "missing":
        rom.unlink()
    code = (
        "import sys; from ale_py import roms; "
        f"roms.get_rom_path = lambda name: {str(rom)!r}; "
        "from fastpg.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    words = {"train": ["--run-dir", str(tmp_path / "run")], "evaluate": ["--episodes", "1"]}
    words["watch"] = ["--video", str(tmp_path / "a.gif")]
    ran = subprocess.run(
        [sys.executable, "-c", code, name, *words[name]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    said = "is not the Pong that fastpg knows" if fault != "missing" else "Pong's ROM is not in the"
    assert said in ran.stderr
    assert "install ale-py" in ran.stderr
    assert not (tmp_path / "run").exists()


# ---- damaged runs ----------------------------------------------------------------------------


def test_settings_of_another_type_are_named(run, tmp_path):
    from fastpg import checkpoint

    saved = checkpoint.load(run)
    for name, value, said in (
        ("views", 5, "config: views: expected tuple[int, ...], got 5"),
        ("views", ["a"], "config: views: expected <class 'int'>"),
        ("input", ["stack"], "config: input: expected one of difference, stack, raw"),
        ("hidden", "many", "config: hidden: expected int, got 'many'"),
        ("env", None, "config: env: expected str, got None"),
    ):
        config = {**saved.state["config"], name: value}
        path = checkpoint.save(tmp_path, 1, saved.tensors, {"config": config})
        for words in (["evaluate", str(path)], ["watch", str(path)], ["train", "--resume", path]):
            code, _, err = fastpg(words)
            assert code == 2
            assert said.split("<class")[0] in err
            assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"episodes": "many"}, "metrics.jsonl: line 2: episodes: expected a number or null"),
        ({"seconds": None}, "metrics.jsonl: line 2: seconds: expected a number, got null"),
        ({"seconds": [1]}, "metrics.jsonl: line 2: seconds: expected a number or null"),
        ({"update": True}, "line 2: update"),
    ],
)
def test_rows_of_another_type_are_named(run, tmp_path, line, said):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text((run / "config.json").read_text())
    row = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    rows = [row, {**row, **line}, row]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    code, _, err = fastpg(["report", str(folder), "--video-seconds", "0"])
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
