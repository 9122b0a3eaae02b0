"""``pytest --benchmark`` runs benchmarks/ instead of tests/; a path on the command line wins."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--benchmark", action="store_true", help="run benchmarks/ instead of tests/")


def pytest_configure(config):
    if config.getoption("--benchmark") and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = ["benchmarks"]
