"""Checkpoints: one safetensors file per save, whole or not there, checked to the last byte.

``RUN/checkpoints/00000120.safetensors`` holds the named tensors and, in the metadata, four strings:
``format`` (``fastpg-checkpoint 1``), ``update``, ``state`` (JSON) and ``checksum``: the SHA-256 of
the whole file with the checksum's own 64 digits as zeros. So every byte of the file is covered,
the padding of the header too, and any safetensors reader can open the file.

At the end stand the reader and the writer of the article's ``save.p``. Nothing here runs what a
pickle asks for: see :mod:`fastpg.network.article_pickle`.
"""

import contextlib
import hashlib
import json
import operator
import os
import pickle
import re
import shutil
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from fastpg.network.article_pickle import FloatArray, LegacyUnpickler
from fastpg.network.quantize import unpack

Array = np.ndarray

FOLDER = "checkpoints"
FORMAT = "fastpg-checkpoint"
VERSION = 1
ARTICLE_PIXELS = 80 * 80

_NAME = re.compile(r"(\d{8,})\.safetensors")
_TEMPORARY = re.compile(r"\.\d{8,}\.safetensors\.tmp-(\d+)")
# Unescaped quotes stand only around JSON keys and values, so no name or state can look like this.
_CHECKSUM = re.compile(rb'"checksum":"([0-9a-f]{64})"')
_NO_CHECKSUM = "0" * 64


class CheckpointError(Exception):
    """A checkpoint that cannot be written or read; one line that names the file and the reason."""


@dataclass(frozen=True)
class Checkpoint:
    """What one checkpoint file holds.

    Attributes:
        update: number of updates done when it was saved.
        tensors: the named arrays, writable, C order, native byte order.
        state: what the JSON says: tuples have become lists and keys strings.
        path: the file that was read.
    """

    update: int
    tensors: dict[str, Array]
    state: dict[str, Any]
    path: Path


def checkpoints(run_dir: str | Path) -> list[Path]:
    """The checkpoint files of a run by rising update number; none if the folder is missing."""
    return _listed(Path(run_dir) / FOLDER)


def save(
    run_dir: str | Path,
    update: int,
    tensors: Mapping[str, Array],
    state: Mapping[str, Any],
    keep: int = 3,
) -> Path:
    """Write ``run_dir/checkpoints/UPDATE.safetensors`` so that a crash never leaves half of it.

    The bytes go to a temporary folder in the same one, are flushed to the disk and renamed, and
    the folder is flushed. Then checkpoints of lower update numbers go, until ``keep`` are left with
    this one; those of higher numbers (of a run that was taken back to an earlier one) stay.

    Args:
        run_dir: folder of the run; made if missing.
        update: number of updates done, >= 0.
        tensors: any shapes, bool, integers, float16, float32 or float64.
        state: what ``json`` can write.
        keep: how many to keep, >= 1.

    Returns:
        The path of the file.

    Raises:
        CheckpointError: it cannot be written; the older ones are as they were.
        TypeError, ValueError: an argument is not as above; nothing has been written.
    """
    update = operator.index(update)
    if update < 0 or keep < 1:
        raise ValueError(f"expected update >= 0 and keep >= 1, got {update} and {keep}")
    folder = Path(run_dir) / FOLDER
    path = folder / f"{update:08d}.safetensors"
    put = _putter(update, tensors, state)
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _flush_folder(folder.parent)
        _remove_dead(folder)
        _write(path, put)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot save: {error.strerror or error}") from error
    for old in [file for file in _listed(folder) if _update_of(file) <= update][:-keep]:
        try:
            old.unlink(missing_ok=True)
        except OSError as error:  # the new one is safe: no reason to stop a run
            warnings.warn(f"{old}: cannot remove: {error.strerror or error}", stacklevel=2)
    return path


def save_file(
    path: str | Path, update: int, tensors: Mapping[str, Array], state: Mapping[str, Any]
) -> None:
    """Write one checkpoint file of any name; what stood there is replaced in one step.

    Raises:
        CheckpointError: it cannot be written; what stood there is as it was.
    """
    _write_or_say(Path(path), _putter(update, tensors, state))


def write(path: str | Path, data: bytes) -> None:
    """Write a file in one step: afterwards either the old one stands there or the new.

    Raises:
        CheckpointError: it cannot be written.
    """
    _write_or_say(Path(path), lambda temporary: temporary.write_bytes(data))


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint file, or the newest one of a run directory or of its ``checkpoints``.

    Raises:
        CheckpointError: the file is missing, cut short, changed, of another program or of a newer
            fastpg. The newest good checkpoint of its folder is named, and not loaded instead.
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


# ---- bytes --------------------------------------------------------------------------------------


def _putter(
    update: int, tensors: Mapping[str, Array], state: Mapping[str, Any]
) -> Callable[[Path], None]:
    """What makes the file; since safetensors 0.8, of arrays as they lie, without a copy."""
    arrays = {}
    for name, array in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise TypeError(f"tensors: expected a name other than __metadata__, got {name!r}")
        if not isinstance(array, np.ndarray):
            raise TypeError(f"tensors: {name}: expected an array, got {type(array).__name__}")
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"tensors: {name}: cannot save dtype {array.dtype}")
        # safetensors reads from the array's address: a strided view would be saved wrong
        arrays[name] = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
    metadata = {
        "format": f"{FORMAT} {VERSION}",
        "update": str(update),
        "state": json.dumps(dict(state)),
        "checksum": _NO_CHECKSUM,
    }

    def put(path: Path) -> None:
        try:
            safetensors.numpy.save_file(arrays, path, metadata)
        except safetensors.SafetensorError as error:  # its name for what the system refuses
            raise OSError(str(error)) from error
        with open(path, "r+b") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            length = file.read(8)
            found = _CHECKSUM.search(length + file.read(struct.unpack("<Q", length)[0]))
            assert found is not None
            file.seek(found.start(1))
            file.write(digest.encode())

    return put


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
    except (safetensors.SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path}: corrupt: {error}") from error
    tensors = {name: np.require(flat[name], requirements="W") for name in sorted(flat)}
    return Checkpoint(update, tensors, state, path)


def _metadata(path: Path, data: bytes) -> dict[str, str]:
    """The metadata of a file whose every byte is as it was saved; CheckpointError if it is not."""
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
        state = "truncated" if len(data) < end else "corrupt"
        raise CheckpointError(f"{path}: {state}: {len(data)} bytes, expected {end}")
    found = _CHECKSUM.search(data, 8, header_end)
    digest = hashlib.sha256()
    if found:
        view = memoryview(data)
        for part in (view[: found.start(1)], _NO_CHECKSUM.encode(), view[found.end(1) :]):
            digest.update(part)
    if not found or digest.hexdigest() != found[1].decode():
        raise CheckpointError(f"{path}: corrupt: the checksum does not match")
    return metadata


# ---- files --------------------------------------------------------------------------------------


def _write_or_say(path: Path, put: Callable[[Path], object]) -> None:
    try:
        _write(path, put)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot save: {error.strerror or error}") from error


def _write(path: Path, put: Callable[[Path], object]) -> None:
    """Have a file made, under this name in one step: either the old one stands there or the new.

    ``put`` gets a path in a folder of its own: safetensors writes temporary files beside its own.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.mkdir(exist_ok=True)
        put(temporary / path.name)
        # whatever made it: readable for whom a new file of this process would be
        os.chmod(temporary / path.name, temporary.stat().st_mode & 0o666)
        with open(temporary / path.name, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary / path.name, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_dead(folder: Path) -> None:
    """Remove the temporary folders of saves whose process is gone: before a save, for the room."""
    for file in folder.iterdir():
        found = _TEMPORARY.fullmatch(file.name)
        if found and not _other_process_lives(int(found[1])):
            if file.is_dir():
                shutil.rmtree(file, ignore_errors=True)
            else:  # as earlier versions made them
                file.unlink(missing_ok=True)


def _other_process_lives(pid: int) -> bool:
    if pid == os.getpid():  # in a container every run may have the same number
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


# ---- the article's save.p -----------------------------------------------------------------------


def load_legacy(path: str | Path) -> tuple[Array, Array]:
    """The weights of the article's ``save.p``, as our network has them.

    The file is a pickle of ``{"W1": (H, 6400), "W2": (H,)}``, float64, of Python 2 or 3. It is read
    without running anything that it names.

    Returns:
        (w1, w2): w1 (6400, H) float32, one row per pixel; w2 (1, H) float32.

    Raises:
        CheckpointError: no such file, not such a pickle, or it asks for something else.
    """
    path = Path(path)
    try:
        model = LegacyUnpickler(path.read_bytes()).load()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{path}: not a pickle of the article's weights: {reason}") from error
    if not isinstance(model, dict) or set(model) != {"W1", "W2"}:
        found = sorted(map(str, model)) if isinstance(model, dict) else type(model).__name__
        raise CheckpointError(f"{path}: expected a dict of W1 and W2, got {found}")
    if not all(isinstance(value, FloatArray) for value in model.values()):
        raise CheckpointError(f"{path}: expected W1 and W2 to be arrays")
    w1, w2 = model["W1"].array, model["W2"].array
    if w1.ndim != 2 or w1.shape[1] != ARTICLE_PIXELS or not w1.size:
        raise CheckpointError(f"{path}: W1: expected (H, {ARTICLE_PIXELS}), got {w1.shape}")
    if w2.shape != w1.shape[:1]:
        raise CheckpointError(f"{path}: W2: expected {w1.shape[:1]} to fit W1, got {w2.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.array(w1.T, np.float32, order="C"), np.array(w2[None], np.float32, order="C")
    for name, array in zip(("W1", "W2"), weights, strict=True):
        if not np.isfinite(array).all():
            raise CheckpointError(f"{path}: {name}: a weight is not finite as float32")
    return weights


def save_legacy(path: str | Path, w1: Array, w2: Array) -> None:
    """Write the weights as the article's ``save.p``, for its script under Python 2 or 3.

    Args:
        path: the file; replaced in one step.
        w1: (6400, H) floats.
        w2: (1, H) floats: the article's network has one output.

    Raises:
        CheckpointError: other shapes, or the file cannot be written.
    """
    path = Path(path)
    if w1.ndim != 2 or w1.shape[0] != ARTICLE_PIXELS or w2.shape != (1, w1.shape[1]):
        raise CheckpointError(
            f"{path}: the article's network has w1 ({ARTICLE_PIXELS}, H) and w2 (1, H), "
            f"got {w1.shape} and {w2.shape}"
        )
    model = {"W1": np.array(w1.T, np.float64, order="C"), "W2": w2[0].astype(np.float64)}
    # Protocol 2 is Python 2's newest; NumPy 1 knows only the first name, NumPy 2 both. The global
    # stands once, before any array bytes.
    data = pickle.dumps(model, protocol=2).replace(
        b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1
    )
    write(path, data)
