"""Checkpoints that cannot be half-written or half-read, and the finished model file.

A checkpoint file is a line with the SHA-256 of what follows, then a `torch.save` archive. Two generations are kept: a
file cut off at any byte does not have its hash, and the one before it is used. At every moment, also between any two
steps of saving, one of them is whole.
"""

import hashlib
import io
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from benchmark.support.errors import BenchError
from benchmark.support.files import write_atomically

# Newest first. The first is there only while it is about to become the second, and after a kill at that moment.
GENERATIONS = ("checkpoint-coming.pt", "checkpoint.pt", "checkpoint-before.pt")


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Saves `state` as the newest generation; the previous generation is kept.

    Raises:
        BenchError: the file cannot be written; both generations are unchanged.
    """
    _write(folder, _serialized(state))


def _serialized(state: Mapping[str, Any]) -> memoryview:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getbuffer()


def _write(folder: Path, payload: memoryview) -> None:
    header = hashlib.sha256(payload).hexdigest().encode() + b"\n"
    coming, newest, before = (folder / name for name in GENERATIONS)
    write_atomically(coming, header + payload)
    try:
        if newest.is_file():
            newest.replace(before)
        coming.replace(newest)
    except OSError as error:
        raise BenchError(f"cannot write {newest}: {error.strerror}; the checkpoint before it is kept") from None


class CheckpointWriter:
    """Writes checkpoints in a thread of its own: training waits until the state is a file in memory, not for the disk.

    `cost` is how long the last checkpoint took, in memory and on the disk together: on a CPU the thread takes its time
    from the training.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cost = 0.0
        self._pool: ThreadPoolExecutor | None = None  # It lives from a write to the next `close`.
        self._pending: Future[None] | None = None

    def write(self, state: Mapping[str, Any]) -> None:
        """Serializes the state in memory and begins to write it once the previous checkpoint is written.

        Raises:
            BenchError: the previous checkpoint could not be written.
        """
        self._finish()
        began = time.perf_counter()
        payload = _serialized(state)

        def save() -> None:
            _write(self.folder, payload)
            self.cost = time.perf_counter() - began

        self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending = self._pool.submit(save)

    def close(self) -> None:
        """Waits until everything is on the disk, and ends the thread.

        Raises:
            BenchError: the last checkpoint could not be written.
        """
        try:
            self._finish()
        finally:
            if self._pool:
                self._pool.shutdown()
            self._pool = None

    def _finish(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()


def load_checkpoint(folder: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """Returns the newest whole checkpoint of a folder, or None. This process must hold the folder (`exclusive`).

    A damaged checkpoint is named through `warn` and removed, so that the next save does not put it in the place of a
    good one. The remains of a process that was killed while it wrote are removed too.

    Raises:
        BenchError: a checkpoint exists and cannot be read.
    """
    for part in folder.glob("checkpoint*.part"):
        part.unlink(missing_ok=True)
    state, damaged = None, []
    for path in (folder / name for name in GENERATIONS):
        if (payload := _whole_payload(path)) is not None:
            state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
            break
        if path.is_file():
            damaged.append(path)
    for path in damaged:
        instead = "using the checkpoint before it" if state else "there is no whole one before it"
        warn(f"{path} is cut off or damaged; {instead}")
        path.unlink()
    return state


def _whole_payload(path: Path) -> bytes | None:
    """Returns the bytes after a checkpoint's header; None if the file is missing or its hash does not match."""
    try:
        header, _, payload = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BenchError(f"cannot read the checkpoint {path}: {error.strerror}") from None
    return payload if hashlib.sha256(payload).hexdigest().encode() == header else None


def stale_checkpoints(folder: Path) -> list[Path]:
    """Lists the cell's checkpoints under other keys: those in folders that differ only after the name's last `-`."""
    cell = folder.name.rpartition("-")[0]
    beside = (path for path in folder.parent.glob("*-*") if path.name.rpartition("-")[0] == cell and path != folder)
    newest = (next((path / name for name in GENERATIONS if (path / name).is_file()), None) for path in beside)
    return sorted(path for path in newest if path)


def remove_checkpoints(folder: Path) -> None:
    """Removes every generation, once the finished model is written."""
    for path in folder.glob("checkpoint*"):
        path.unlink(missing_ok=True)


def save_model(path: Path, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Writes a model file: the colorizer's tensors (safetensors) and their description as JSON in its header.

    Returns:
        The file's SHA-256. The same weights and description give the same bytes.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    described = {**about, "sha256": _content_sha256(tensors, about)}
    content = save(tensors, metadata={"colorbench": json.dumps(described, sort_keys=True)})
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def load_model(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads the tensors of a model file and their description.

    Raises:
        BenchError: the file is missing, cut off, damaged, or not a model file of this program.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("colorbench", "null"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, ValueError, SafetensorError) as error:
        raise BenchError(f"{path} is not a whole model file ({error}); train the cell again") from None
    if not isinstance(about, dict):
        raise BenchError(f"{path} holds tensors, but was not written by colorbench")
    if about.pop("sha256", None) != _content_sha256(state, about):
        raise BenchError(f"{path} is damaged: its content has not the SHA-256 that it names; train the cell again")
    return state, about


def _content_sha256(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of tensors and description, which verifies a model file that has no record beside it."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
