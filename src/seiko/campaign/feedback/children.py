"""A child process that is spoken to in lines, and that ends with everything it started."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from seiko.errors import ObservationError

LONGEST_LINE = 1 << 20
"""Bytes; a child that writes a longer line is not answering."""

TAIL = 1500
"""Bytes of its standard error that are kept."""


class Child:
    """One process in a process group of its own, never behind a shell.

    Args:
        command: Program and arguments.
        folder: Where it runs; this process's own by default.
        environment: Its variables; this process's own by default.

    Raises:
        ObservationError: If it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ObservationError(
                f"The executable {command[0]!r} cannot be started: {error}.",
                hint="Nothing was told. Check its path, and that it may be executed.",
            ) from error
        self.lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._tail = bytearray()
        self._readers = [
            _thread(self._read_answers, self._process.stdout),
            _thread(self._read_complaints, self._process.stderr),
        ]

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def write(self, lines: Iterable[bytes], *, close: bool) -> None:
        """Send lines without waiting for them to be read; with `close`, they are the last."""
        content, stream = b"".join(lines), self._process.stdin

        def send() -> None:
            with suppress(OSError, ValueError):  # it ended before it read everything
                assert stream is not None
                stream.write(content)
                stream.close() if close else stream.flush()

        self._readers.append(_thread(send))

    def next_line(self, timeout: float) -> bytes | None:
        """The next line; None at the end of its answers.

        Raises:
            TimeoutError: If none came in `timeout` seconds.
        """
        try:
            return self.lines.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            raise TimeoutError from None

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None if it is still running after `seconds`."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self, *, grace: float = 1.0) -> None:
        """End the whole group: asked first, then forced. Harmless when it has ended."""
        if self.is_alive:
            self._signal(signal.SIGTERM)
            self.wait(grace)
        self._signal(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        deadline = time.monotonic() + 1.0
        for thread in self._readers:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._readers):
            self._close_pipes()

    def _close_pipes(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):
                if stream is not None:
                    stream.close()

    def complaints(self) -> str:
        """The end of its standard error."""
        return bytes(self._tail).decode("utf-8", errors="replace").strip()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read_answers(self, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError):
            while line := stream.readline(LONGEST_LINE):
                self.lines.put(line)
                if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                    break
        self.lines.put(None)

    def _read_complaints(self, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError):
            while chunk := stream.read1(4096):  # type: ignore[attr-defined]
                self._tail += chunk
                del self._tail[:-TAIL]


def _thread(target: object, *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread
