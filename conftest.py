"""Two switches of pytest: ``--benchmark``, and how many processes run the tests.

``pytest --benchmark`` runs benchmarks/ instead of tests/; a path on the command line wins. A run of
folders uses every core (pytest-xdist). A run of named files or tests stays in one process, which
starts sooner, and so does a run of benchmarks, which would disturb each other. ``-n`` wins.
"""

from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--benchmark", action="store_true", help="run benchmarks/ instead of tests/")


def _runs_test_folders(config):
    folders = [Path(argument.split("::")[0]) for argument in config.args]
    return all(path.is_dir() and path.name != "benchmarks" for path in folders)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Choose the number of processes, before pytest-xdist starts them."""
    if hasattr(config, "workerinput") or not config.pluginmanager.hasplugin("xdist"):
        return
    if config.option.numprocesses is None:
        in_parallel = _runs_test_folders(config) and not config.getoption("--benchmark")
        config.option.numprocesses = "auto" if in_parallel else 0


def pytest_configure(config):
    try:
        import fastpg  # noqa: F401
    except ImportError as error:  # a checkout that is not compiled
        raise pytest.UsageError(str(error)) from None
    if config.getoption("--benchmark") and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = ["benchmarks"]
