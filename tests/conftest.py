"""What tests of many files share: libraries of the console of csrc/, compiled once a session; runs
in numba's simulator, the slowest tests, beside all others."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.proofs.random_roms import make_rom
from tests.support import emulator_core


def _folder(tmp_path_factory, name):
    if not emulator_core.CSRC.is_dir():
        pytest.skip("the C sources are not beside the tests")
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    return tmp_path_factory.mktemp(name)


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory):
    """The console without translations: quick to compile."""
    return emulator_core.build(_folder(tmp_path_factory, "interpreter"))


@pytest.fixture(scope="session")
def portable(tmp_path_factory):
    """As ``interpreter``, without vector instructions and GNU C's jumps to labels."""
    flags = ("-DA26_NO_VECTORS", "-DA26_NO_LABEL_VALUES")
    return emulator_core.build(_folder(tmp_path_factory, "portable"), flags=flags)


@pytest.fixture(scope="session")
def core(tmp_path_factory):
    """The console with the translations of all games, and of a random test ROM."""
    folder = _folder(tmp_path_factory, "core")
    roms = {game: emulator_core.rom_bytes(game) for game in emulator_core.GAMES}
    roms["generated"] = make_rom("tia", 5).data
    translations = {
        name: emulator_core.translation(rom, name, folder) for name, rom in roms.items()
    }
    return emulator_core.build(folder, translations)


# ---- numba's simulator ------------------------------------------------------------------------


def pytest_configure(config):
    config.addinivalue_line("markers", "simulator(file): waits for a file's tests in the simulator")


def pytest_collection_modifyitems(items):
    """Those that wait for the simulator come last."""
    items.sort(key=lambda item: item.get_closest_marker("simulator") is not None)


@pytest.fixture(scope="session", autouse=True)
def simulations(request):
    """Future runs by file: begun with the first test, one process at a time, in order."""
    from tests.gpu.test_cuda import SIMULATOR, run_tests

    markers = [item.get_closest_marker("simulator") for item in request.session.items]
    pool = ThreadPoolExecutor(1)
    files = [marker.args[0] for marker in markers if marker]
    yield {file: pool.submit(run_tests, file, **SIMULATOR) for file in files}
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def simulator(request, simulations):
    """Waits for the run of the test's file; returns it."""
    return simulations[request.node.get_closest_marker("simulator").args[0]].result
