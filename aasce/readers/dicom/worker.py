"""A child process that decodes compressed pixels and may die of them; the next frame starts another."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from aasce.types import Array

SECONDS = 180.0
"""Longest that one frame may take: a damaged stream may keep a decoder busy for ever."""
_PROGRAM = Path(__file__).with_name("decoder.py")


class DecodingError(Exception):
    """A frame that no decoder could decode, with the reason."""


class Worker:
    """One decoding process, started when it is first needed and again after its death.

    Safe to use from several threads, and in a process forked from the one that started it.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def decode(self, frame: bytes, syntax: str, options: dict[str, Any]) -> tuple[Array, bool]:
        """Decodes one frame.

        Args:
            frame: the compressed stream.
            syntax: UID of its transfer syntax.
            options: keywords of the image as `pydicom.pixels.decoders.base.Decoder.as_array` takes them.

        Returns:
            Pixels (H, W) or (H, W, 3), and whether a decoder found damage.

        Raises:
            DecodingError: no decoder could, the process died, or it took longer than `SECONDS`.
        """
        request = {"syntax": syntax, "options": options, "length": len(frame)}
        with self._lock:
            process = self._running()
            watch = threading.Timer(SECONDS, process.kill)
            watch.start()
            try:
                answer, pixels = _asked(process, json.dumps(request).encode() + b"\n" + frame)
            except (OSError, ValueError) as error:
                self.close()
                raise DecodingError("the stream broke the decoder") from error
            finally:
                watch.cancel()
        if "error" in answer:
            raise DecodingError(answer["error"])
        array = np.frombuffer(pixels, answer["dtype"]).reshape(answer["shape"])
        return array, answer["damaged"]

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        with suppress(OSError):
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is None or self._owner != os.getpid() or process.poll() is not None:
            self.close()
            self._process, self._owner = _started(), os.getpid()
        assert self._process is not None
        return self._process


def _started() -> subprocess.Popen[bytes]:
    # -P: the folder of the program holds modules that must not shadow others.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-P", str(_PROGRAM)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _asked(process: subprocess.Popen[bytes], request: bytes) -> tuple[dict[str, Any], bytes]:
    """The answer to a request; ValueError when the process ends in the middle of it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request)
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    return answer, _exactly(process.stdout, answer["length"])


def _exactly(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise ValueError("cut short")
    return content


WORKER = Worker()
atexit.register(WORKER.close)
