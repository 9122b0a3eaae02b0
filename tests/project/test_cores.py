"""How many threads run by default: affinity, and quotas of control groups of both versions."""

import os
from contextlib import closing

import pytest

from fastpg.system import cores
from fastpg.system.cores import core_limit

V2_MOUNT = "30 23 0:26 {mounted} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = (
    "33 32 0:29 {mounted} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct"
)
OTHER_MOUNT = "35 32 0:31 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory"


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


def system(root, group, mount, files):
    """Make the files that core_limit reads; ``files``: (folder of the group, name, content)."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(group + "\n")
    (root / "proc/self/mountinfo").write_text(f"{OTHER_MOUNT}\n{mount}\n")
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content + "\n")
    return core_limit(root)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("150000 100000", 2),
        ("200000 100000", 2),
        ("800000 50000", 16),
        ("max 100000", 64),
        ("9900000 100000", 64),
        ("", 64),
        ("1 0", 64),
        ("nonsense 5", 64),
    ],
)
def test_quota_of_version_2_in_a_container(tmp_path, content, expected):
    mount = V2_MOUNT.format(mounted="/")
    limit = system(tmp_path, "0::/", mount, {"sys/fs/cgroup/cpu.max": content})
    assert limit.cores == expected


def test_the_lowest_quota_of_nested_groups_counts(tmp_path):
    at = "sys/fs/cgroup"
    files = {
        f"{at}/a/cpu.max": "300000 100000",
        f"{at}/a/b/cpu.max": "max 100000",
        f"{at}/a/b/c/cpu.max": "500000 100000",
        f"{at}/other/cpu.max": "100000 100000",
    }
    limit = system(tmp_path, "0::/a/b/c", V2_MOUNT.format(mounted="/"), files)
    assert limit.cores == 3
    assert limit.reason == f"quota of 3 in {tmp_path / at}/a/cpu.max"


@pytest.mark.parametrize("path", ["/docker/abc", "/docker/abc/inner", "/../../elsewhere", "/x"])
def test_a_mount_that_shows_only_the_containers_group(tmp_path, path):
    mount = V2_MOUNT.format(mounted="/docker/abc")
    limit = system(tmp_path, f"0::{path}", mount, {"sys/fs/cgroup/cpu.max": "200000 100000"})
    assert limit.cores == 2


@pytest.mark.parametrize(("quota", "expected"), [("250000", 3), ("-1", 64), ("100000", 1)])
def test_quota_of_version_1(tmp_path, quota, expected):
    at = "sys/fs/cgroup/cpu,cpuacct"
    group = "11:memory:/docker/m\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n0::/y"
    files = {
        f"{at}/docker/abc/cpu.cfs_quota_us": quota,
        f"{at}/docker/abc/cpu.cfs_period_us": "100000",
        f"{at}/cpu.cfs_quota_us": "-1",
        f"{at}/cpu.cfs_period_us": "100000",
    }
    assert system(tmp_path, group, V1_MOUNT.format(mounted="/"), files).cores == expected


def test_both_versions_at_once(tmp_path):
    mounts = V1_MOUNT.format(mounted="/") + "\n" + V2_MOUNT.format(mounted="/")
    files = {
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/cpu.max": "700000 100000",
    }
    assert system(tmp_path, "4:cpu:/\n0::/", mounts, files).cores == 4


def test_affinity_counts_too(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    mount = V2_MOUNT.format(mounted="/")
    limit = system(tmp_path, "0::/", mount, {"sys/fs/cgroup/cpu.max": "400000 100000"})
    assert limit == (3, "affinity")


def test_a_system_without_affinity_or_groups(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert core_limit(tmp_path) == (1, "machine")


def test_default_threads_are_the_available_cores(monkeypatch):
    from fastpg.cli.resolve import resolve
    from fastpg.config import preset
    from fastpg.envs import NativeVectorEnv

    monkeypatch.setattr(cores, "core_limit", lambda: cores.CoreLimit(3, "a test"))
    assert resolve(preset("pong")).threads == 3
    with closing(NativeVectorEnv("Pong-v0", 8)) as envs:
        assert envs.num_threads == 3


def test_the_version_says_how_many_and_why(monkeypatch, capsys):
    from fastpg.cli.main import main

    limit = cores.CoreLimit(1, "quota of 0.5 in /sys/fs/cgroup/cpu.max")
    monkeypatch.setattr(cores, "core_limit", lambda: limit)
    assert main(["--version"]) == 0
    expected = "1: 1 core to run on (quota of 0.5 in /sys/fs/cgroup/cpu.max), at most "
    assert expected in capsys.readouterr().out
