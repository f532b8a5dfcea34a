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
from typing import Any

import numpy as np

from aasce.types import Array

SECONDS = 120.0
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
        request = json.dumps({"syntax": syntax, "options": options, "length": len(frame)}).encode() + b"\n"
        with self._lock:
            try:
                answer, pixels = self._asked(request + frame)
            except (OSError, ValueError) as error:
                self.close()
                raise DecodingError("the stream broke the decoder") from error
        if "error" in answer:
            raise DecodingError(answer["error"])
        array = np.frombuffer(pixels, answer["dtype"]).reshape(answer["shape"])
        return array, answer["damaged"]

    @property
    def pid(self) -> int | None:
        """Id of the process, None while there is none."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _asked(self, request: bytes) -> tuple[dict[str, Any], bytes]:
        """The answer to a request; ValueError when the process ends in the middle of it."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(SECONDS, process.kill)
        watch.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            pixels = process.stdout.read(answer["length"])
        finally:
            watch.cancel()
        if len(pixels) < answer["length"]:
            raise ValueError("cut short")
        return answer, pixels

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is None or self._owner != os.getpid() or process.poll() is not None:
            self.close()
            process = self._process = _started()
            self._owner = os.getpid()
        return process


def _started() -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": paths}
    # -P: the folder of the program holds modules that must not shadow others. A session of its own: Ctrl-C is the
    # caller's to answer.
    return subprocess.Popen(
        [sys.executable, "-P", str(_PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


WORKER = Worker()
atexit.register(WORKER.close)
