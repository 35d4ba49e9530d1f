"""Rewards that a worker process can import: good ones, and ones that die, hang or lie."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path


def length(word):
    return float(len(word))


def slow_length(word):
    time.sleep(0.3)
    return float(len(word))


def kills_itself(word):
    """Words that begin with "die" take their process with them."""
    if word.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    return float(len(word))


def exits(word):
    if word.startswith("die"):
        sys.exit(3)
    return float(len(word))


def hangs(word):
    if word.startswith("hang"):
        time.sleep(600)
    return float(len(word))


class Odd(Exception):
    """An exception that does not survive being pickled."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raises_oddly(word):
    raise Odd(word, "more")


def gives_unpicklable(word):
    return (lambda: 1) if word == "bad" else 1.0


def leaves_a_mark(folder, word):
    """Writes a file when it begins and another when it ends, so that a test can see how often it ran."""
    Path(folder, f"{word}-begun-{time.monotonic_ns()}").touch()
    time.sleep(0.2)
    Path(folder, f"{word}-done-{time.monotonic_ns()}").touch()
    return float(len(word))


def dies_once(folder, word):
    """The first call for "die" kills its process, while another word is worked on; the second one answers."""
    working, died = Path(folder, "working"), Path(folder, "died")
    if died.exists():
        return float(len(word))
    if word == "die":
        while not working.exists():
            time.sleep(0.05)
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    working.touch()
    time.sleep(60)
    return -1.0  # the death of the other should have broken the pool


def waits_for_a_child(folder, word):
    """Starts a process of its own, writes its id, and waits for it."""
    import subprocess

    child = subprocess.Popen(["sleep", "600"])
    Path(folder, "child").write_text(str(child.pid))
    child.wait()


async def gentle(word):
    await asyncio.sleep(0.05)
    return float(len(word))


def tells_its_process(folder, word):
    """Writes its process id; for "wait" it then waits to be killed."""
    partial = Path(folder, f".{word}")
    partial.write_text(str(os.getpid()))
    partial.rename(Path(folder, word))
    if word == "wait":
        time.sleep(600)
    return float(len(word))
