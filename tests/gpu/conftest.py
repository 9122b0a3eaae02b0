"""The marker ``gpu``: tests that run compiled kernels, on a GPU or on its stand-in."""

import pytest

from fastpg.kernels import BackendUnavailable, get_backend

STAND_IN = "python -m tests.gpu.ptx python -m pytest FILE"


def pytest_configure(config):
    config.addinivalue_line("markers", f"gpu: needs a GPU or its stand-in: {STAND_IN}")


def pytest_collection_modifyitems(items):
    """Refuse to run tests that need a GPU where there is none: a run of skips would look passed."""
    if any(item.get_closest_marker("gpu") for item in items):
        try:
            get_backend("cuda")
        except BackendUnavailable as error:
            raise pytest.UsageError(f"tests marked gpu: {error}; or {STAND_IN}") from error
