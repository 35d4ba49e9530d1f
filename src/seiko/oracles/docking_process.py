"""One docking process, seen from its parent: started when needed, ended when it takes too long, replaced."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from seiko.errors import MissingDependencyError, ParameterError

WORKER = "seiko.oracles.docking_worker"
START_SECONDS = 300.0


class DockingProcess:
    """A child that runs `seiko.oracles.docking_worker`, with JSON lines in and out.

    Args:
        config: Receptor, box, seeds, fidelity and limits, as the worker reads them.
        module: The worker's module; another one in tests.
    """

    def __init__(self, config: Mapping[str, Any], *, module: str | None = None) -> None:
        self.config, self.module = config, module or WORKER
        self._child: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._errors: IO[bytes] | None = None

    def answer(self, job: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """The child's answer, or ``{"failed": reason}`` where there is none in time.

        Raises:
            ParameterError: If the child cannot use the configuration.
            MissingDependencyError: If it lacks a package.
        """
        started = time.perf_counter()
        try:
            self._start()
            started = time.perf_counter()
            self._send(job)
            return self._receive(timeout)
        except TimeoutError:
            self.stop()
            reason = f"no result within {timeout:g} s"
        except (BrokenPipeError, EOFError):
            code = self.stop()
            reason = f"the docking process ended (exit code {code}){self._last_words()}"
        return {"failed": reason, "seconds": time.perf_counter() - started}

    def stop(self) -> int | None:
        """End the child; its exit code."""
        child, self._child = self._child, None
        if child is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=0.05)  # one that ended by itself keeps its own exit code
        child.kill()
        code = child.wait()
        for stream in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        return code

    def _last_words(self) -> str:
        """The last line of what the child wrote to its standard error, if anything."""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1][:200]}" if said else ""

    def _start(self) -> None:
        if self._child is not None:
            return
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - outlives the child
        source = str(Path(__file__).parents[2])  # the child finds the package that the parent runs
        paths = [source, os.environ.get("PYTHONPATH", "")]
        self._child = subprocess.Popen(
            [sys.executable, "-m", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"},
        )
        self._lines = queue.SimpleQueue()
        threading.Thread(target=_read, args=(self._child.stdout, self._lines), daemon=True).start()
        self._send(self.config)
        self._check_ready(self._receive(START_SECONDS))

    def _check_ready(self, answer: Mapping[str, Any]) -> None:
        if answer.get("ready"):
            return
        self.stop()
        reason = str(answer.get("error"))
        if reason.startswith(MissingDependencyError.__name__):
            raise MissingDependencyError(reason.partition(": ")[2])
        raise ParameterError(f"AutoDock Vina cannot use this receptor: {reason}.")

    def _send(self, content: Mapping[str, Any]) -> None:
        assert self._child is not None and self._child.stdin is not None
        self._child.stdin.write(json.dumps(content) + "\n")
        self._child.stdin.flush()

    def _receive(self, timeout: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        if not line:
            raise EOFError
        return dict(json.loads(line))

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the interpreter parts of it may be gone
            self.stop()


def _read(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    """Pass on lines as they come, and an empty one at the end."""
    with contextlib.suppress(ValueError, OSError):
        for line in stream:
            lines.put(line)
    lines.put("")
