"""Libraries of the console of csrc/, compiled once a session for all tests that use them."""

import shutil

import pytest

from tests import emulator_core
from tests.random_roms import make_rom


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
