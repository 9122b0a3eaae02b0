"""How many processor cores this process may use: by affinity, and by quotas of control groups.

A container's quota leaves all cores of the machine visible. Threads beyond it would spend it while
they wait for each other.

Source: Linux, ``Documentation/admin-guide/cgroup-v2.rst`` and ``cgroup-v1/``; ``proc(5)``.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class CoreLimit(NamedTuple):
    """A number of cores that this process may use at most, and what says so."""

    cores: int
    reason: str


def available_cores() -> int:
    """Return the number of cores that this process may use, at least 1."""
    return core_limit().cores


def core_limit(root: Path = Path("/")) -> CoreLimit:
    """Return the lowest limit on this process.

    Args:
        root: folder that has the system's ``proc`` and ``sys``.
    """
    if hasattr(os, "sched_getaffinity"):
        by_system = CoreLimit(len(os.sched_getaffinity(0)), "affinity")
    else:
        by_system = CoreLimit(os.cpu_count() or 1, "machine")
    return min([by_system, *_quotas(root)], key=lambda limit: limit.cores)


def _quotas(root: Path) -> Iterator[CoreLimit]:
    """The quota of each control group above this process that has one, rounded up.

    Rounded up, because the system stops all threads of a group at once: two threads with a quota of
    1.5 cores run side by side for three quarters of the time.
    """
    for folder, version in _groups(root):
        try:
            if version == 2:
                file = folder / "cpu.max"
                quota, period = file.read_text().split()
            else:
                file = folder / "cpu.cfs_quota_us"
                quota, period = file.read_text(), (folder / "cpu.cfs_period_us").read_text()
            share = int(quota) / int(period)  # "max" is no integer
        except (OSError, ValueError, ZeroDivisionError):
            continue
        if share > 0:  # version 1 writes -1 for no quota
            yield CoreLimit(math.ceil(share), f"quota of {share:g} in {file}")


def _groups(root: Path) -> Iterator[tuple[Path, int]]:
    """The folders of this process's control groups and of those above, with the version."""
    groups = dict(_memberships(root))
    for mounted, at, version in _mounts(root):
        if version not in groups:
            continue
        folder = root / at.lstrip("/")
        try:
            below = PurePosixPath(groups[version]).relative_to(mounted)
        except ValueError:  # of a group outside the container: its own is at the mount point
            below = PurePosixPath()
        yield folder, version
        for name in below.parts:
            folder /= name
            yield folder, version


def _memberships(root: Path) -> Iterator[tuple[int, str]]:
    """(version, path of the control group) of the hierarchies that share out the processors."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield 2, path
        elif "cpu" in controllers.split(","):
            yield 1, path


def _mounts(root: Path) -> Iterator[tuple[str, str, int]]:
    """(mounted group, mount point, version) of those hierarchies."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind:
            continue
        mounted, at = (text.replace("\\040", " ") for text in fields[3:5])
        if kind[0] == "cgroup2":
            yield mounted, at, 2
        elif kind[0] == "cgroup" and "cpu" in kind[-1].split(","):
            yield mounted, at, 1


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # not Linux, or hidden
        return []
