"""Fixtures of many files: the console of csrc/ as C libraries, compiled once per process."""

import shutil

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
    """The console with its interpreter alone, which compiles quickly."""
    return emulator_core.build(_folder(tmp_path_factory, "interpreter"))


@pytest.fixture(scope="session")
def portable(tmp_path_factory):
    """``interpreter`` without vector instructions and without GNU C's jumps to labels."""
    flags = ("-DA26_NO_VECTORS", "-DA26_NO_LABEL_VALUES")
    return emulator_core.build(_folder(tmp_path_factory, "portable"), flags=flags)


@pytest.fixture(scope="session")
def core(tmp_path_factory):
    """The console with the translations of all games and of one random test ROM."""
    folder = _folder(tmp_path_factory, "core")
    roms = {game: emulator_core.rom_bytes(game) for game in emulator_core.GAMES}
    roms["generated"] = make_rom("tia", 5).data
    translations = {
        name: emulator_core.translation(rom, name, folder) for name, rom in roms.items()
    }
    return emulator_core.build(folder, translations)
