"""Checkpoints: one safetensors file per save, written whole or not at all, with a checksum.

``RUN/checkpoints/00000120.safetensors`` holds the named tensors and four strings of metadata:
``format`` (``fastpg-checkpoint 1``), ``update``, ``state`` (JSON) and ``checksum``. The checksum is
the SHA-256 of the whole file, taken with the checksum's own 64 digits as zeros, so it covers every
byte, even the header's padding. Any safetensors reader can open the file.

:func:`load_article_weights` and :func:`save_article_weights` read and write the article's
``save.p``.
"""

import contextlib
import hashlib
import json
import operator
import os
import re
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from fastpg.network.article_pickle import article_pickle, read_article_weights
from fastpg.network.quantize import unpack
from fastpg.system.atomic_file import AtomicFile, WriteError, flush_folder, remove_abandoned

Array = np.ndarray

FOLDER = "checkpoints"
FORMAT = "fastpg-checkpoint"
VERSION = 1

_NAME = re.compile(r"(\d{8,})\.safetensors")
# Unescaped quotes occur only around JSON keys and values, so no name or state can match this.
_CHECKSUM = re.compile(rb'"checksum":"([0-9a-f]{64})"')
_NO_CHECKSUM = "0" * 64
_SYSTEM_ERROR = re.compile(r"\b(?:os error|code:) (\d+)")  # in the messages of safetensors


class CheckpointError(Exception):
    """A checkpoint cannot be written or read. The message is one line: the file and the reason."""


@dataclass(frozen=True)
class Checkpoint:
    """The contents of one checkpoint file.

    Attributes:
        update: number of updates done when it was saved.
        tensors: the named arrays, writable, C order, native byte order.
        state: from JSON, so tuples have become lists and keys strings.
        path: the file that was read.
    """

    update: int
    tensors: dict[str, Array]
    state: dict[str, Any]
    path: Path


def checkpoints(run_dir: str | Path) -> list[Path]:
    """List a run's checkpoint files by rising update number; empty if there is no folder."""
    return _listed(Path(run_dir) / FOLDER)


def save(
    run_dir: str | Path,
    update: int,
    tensors: Mapping[str, Array],
    state: Mapping[str, Any],
    keep: int = 3,
) -> Path:
    """Write ``run_dir/checkpoints/UPDATE.safetensors``; a crash never leaves a part of it.

    Afterwards older checkpoints are removed until ``keep`` are left, this one included.
    Checkpoints with higher update numbers stay: they exist if the run was resumed from an earlier
    one.

    Args:
        run_dir: folder of the run; created if missing.
        update: number of updates done, >= 0.
        tensors: any shapes; bool, integers, float16, float32 or float64.
        state: what ``json`` can write.
        keep: number of checkpoints to keep, >= 1.

    Returns:
        The path of the file.

    Raises:
        CheckpointError: it cannot be written; the older checkpoints are unchanged.
        TypeError, ValueError: an argument is wrong; nothing has been written.
    """
    update = operator.index(update)
    if update < 0 or keep < 1:
        raise ValueError(f"expected update >= 0 and keep >= 1, got {update} and {keep}")
    folder = Path(run_dir) / FOLDER
    path = folder / f"{update:08d}.safetensors"
    write_to = _writer(update, tensors, state)
    with _saving(path):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            flush_folder(folder.parent)
        remove_abandoned(folder, _NAME)  # first, because the disk may be full of them
        with AtomicFile(path) as file:
            write_to(file.temporary)
    for old in [file for file in _listed(folder) if _update_of(file) <= update][:-keep]:
        try:
            old.unlink(missing_ok=True)
        except OSError as error:  # the new checkpoint is safe: the run can go on
            warnings.warn(f"{old}: cannot remove: {error.strerror or error}", stacklevel=2)
    return path


def save_file(
    path: str | Path, update: int, tensors: Mapping[str, Array], state: Mapping[str, Any]
) -> None:
    """Write one checkpoint file of any name, replacing what was there in one step.

    Raises:
        CheckpointError: it cannot be written; the old file is unchanged.
        TypeError: an argument is wrong, as in :func:`save`.
    """
    path, write_to = Path(path), _writer(update, tensors, state)
    with _saving(path), AtomicFile(path) as file:
        write_to(file.temporary)


def write(path: str | Path, data: bytes) -> None:
    """Write a file's bytes, replacing what was there in one step.

    Raises:
        CheckpointError: it cannot be written; the old file is unchanged.
    """
    path = Path(path)
    with _saving(path), AtomicFile(path) as file:
        file.temporary.write_bytes(data)


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint file, or the newest one of a run's folder or its ``checkpoints`` folder.

    Raises:
        CheckpointError: the file is missing, truncated, changed, from another program or from a
            newer fastpg. The message names the newest good checkpoint of its folder, which is not
            loaded instead.
    """
    path = Path(path)
    if path.is_dir():
        files = checkpoints(path) or _listed(path)
        if not files:
            raise CheckpointError(f"{path}: no checkpoint in {path / FOLDER}")
        path = files[-1]
    try:
        return _read(path)
    except CheckpointError as error:
        good = _newest_good(path)
        raise CheckpointError(
            f"{error}; newest good one: {good}" if good else str(error)
        ) from error


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = [file for file in folder.iterdir() if _NAME.fullmatch(file.name) and file.is_file()]
    return sorted(files, key=_update_of)


def _update_of(path: Path) -> int:
    return int(path.name.split(".")[0])


def _newest_good(bad: Path) -> Path | None:
    for path in reversed(_listed(bad.parent)):
        if path != bad:
            with contextlib.suppress(CheckpointError):
                return _read(path).path
    return None


# ---- the article's save.p -----------------------------------------------------------------------


def load_article_weights(path: str | Path) -> tuple[Array, Array]:
    """Read the weights of the article's ``save.p``, without running what the pickle names.

    Returns:
        (w1, w2): w1 (6400, H) float32, one row per pixel; w2 (1, H) float32.

    Raises:
        CheckpointError: no such file, not such a pickle, or it asks for something else.
    """
    path = Path(path)
    try:
        return read_article_weights(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path}: {reason}") from error


def save_article_weights(path: str | Path, w1: Array, w2: Array) -> None:
    """Write weights as the article's ``save.p``, for its script under Python 2 or 3.

    Args:
        path: the file; replaced in one step.
        w1: (6400, H) floats.
        w2: (1, H) floats: the article's network has one output.

    Raises:
        CheckpointError: other shapes, or the file cannot be written.
    """
    try:
        data = article_pickle(w1, w2)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    write(path, data)


# ---- the file format -----------------------------------------------------------------------------


@contextlib.contextmanager
def _saving(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.reason if isinstance(error, WriteError) else error.strerror or error
        raise CheckpointError(f"{path}: cannot save: {reason}") from error


def _writer(
    update: int, tensors: Mapping[str, Array], state: Mapping[str, Any]
) -> Callable[[Path], None]:
    """Check the arguments and return the function that writes the file, without copying arrays."""
    arrays = {}
    for name, array in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise TypeError(f"tensors: expected a name other than __metadata__, got {name!r}")
        if not isinstance(array, np.ndarray):
            raise TypeError(f"tensors: {name}: expected an array, got {type(array).__name__}")
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"tensors: {name}: cannot save dtype {array.dtype}")
        # safetensors reads contiguous bytes from the array's address, ignoring strides
        arrays[name] = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
    metadata = {
        "format": f"{FORMAT} {VERSION}",
        "update": str(update),
        "state": json.dumps(dict(state)),
        "checksum": _NO_CHECKSUM,
    }

    def write_to(path: Path) -> None:
        try:
            safetensors.numpy.save_file(arrays, path, metadata)
        except safetensors.SafetensorError as error:  # how it reports the system's errors
            code = _SYSTEM_ERROR.search(str(error))
            if code is None:
                raise OSError(str(error)) from error
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error
        with open(path, "r+b") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            length = file.read(8)
            found = _CHECKSUM.search(length + file.read(struct.unpack("<Q", length)[0]))
            assert found is not None
            file.seek(found.start(1))
            file.write(digest.encode())

    return write_to


def _read(path: Path) -> Checkpoint:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    metadata = _metadata(path, data)
    try:
        flat = safetensors.numpy.load(data)
        flat = unpack(flat)
        update, state = int(metadata["update"]), json.loads(metadata["state"])
        if not isinstance(state, dict):
            raise ValueError("its state is no object")
    except (safetensors.SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path}: corrupt: {error}") from error
    tensors = {name: np.require(flat[name], requirements="W") for name in sorted(flat)}
    return Checkpoint(update, tensors, state, path)


def _metadata(path: Path, data: bytes) -> dict[str, str]:
    """Verify that no byte of a file has changed since it was saved, and return its metadata."""
    if not data:
        raise CheckpointError(f"{path}: empty file")
    if len(data) < 8 or struct.unpack_from("<Q", data)[0] > len(data) - 8:
        raise CheckpointError(f"{path}: truncated, or not a checkpoint: {len(data)} bytes")
    header_end = 8 + struct.unpack_from("<Q", data)[0]
    try:
        header = json.loads(data[8:header_end])
        metadata = header.pop("__metadata__", {})
        tag, _, version = str(metadata.get("format", "")).partition(" ")
        end = header_end + max((row["data_offsets"][1] for row in header.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: corrupt, or not a safetensors file") from error
    if tag != FORMAT:
        raise CheckpointError(f"{path}: not a fastpg checkpoint: no '{FORMAT}' in its metadata")
    if version != str(VERSION):
        raise CheckpointError(
            f"{path}: its format is '{FORMAT} {version}', this fastpg reads {VERSION}: "
            "a newer fastpg wrote it, or it is corrupt"
        )
    if len(data) != end:
        fault = "truncated" if len(data) < end else "corrupt"
        raise CheckpointError(f"{path}: {fault}: {len(data)} bytes, expected {end}")
    found = _CHECKSUM.search(data, 8, header_end)
    digest = hashlib.sha256()
    if found:
        view = memoryview(data)
        for section in (view[: found.start(1)], _NO_CHECKSUM.encode(), view[found.end(1) :]):
            digest.update(section)
    if not found or digest.hexdigest() != found[1].decode():
        raise CheckpointError(f"{path}: corrupt: the checksum does not match")
    return metadata
