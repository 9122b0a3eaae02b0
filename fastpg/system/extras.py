"""The distribution's name on the package index, and how to install its optional dependencies."""

DISTRIBUTION = "fastpg-rl"  # the name "fastpg" belongs to another project there


def install_extra(extra: str) -> str:
    """The commands that install an extra, from a checkout and from the package index."""
    return f"pip install -e '.[{extra}]' in a checkout, or pip install '{DISTRIBUTION}[{extra}]'"


def missing_extra(extra: str) -> str:
    """The end of an error message about an extra that is not installed."""
    return f"needs the [{extra}] extra: {install_extra(extra)}"
