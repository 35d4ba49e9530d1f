"""A private PostgreSQL server on the loopback while the tests run; from the system's own binaries."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

REQUIRED = "SEIKO_REQUIRE_POSTGRES"
SECONDS_TO_START = 60.0


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`: Debian's newest, or wherever the path leads."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = sorted(versions, key=lambda file: int(file.parts[-3]) if file.parts[-3].isdigit() else 0)
    if newest:
        return newest[-1].parent
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found and shutil.which("initdb") else None


def why_not() -> str:
    """The reason that no server can be started here; empty if one can."""
    if binaries() is None:
        return "PostgreSQL is not installed (on Debian: apt install postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (pip install 'seiko[postgres]')"
    return ""


def _as_somebody(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root; then the folder and the processes are another user's."""
    if os.getuid() != 0:
        return []
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


@contextmanager
def server(*, options: Sequence[str] = ("-c", "fsync=off")) -> Iterator[str]:
    """The URL of a database on a new server; stopped and removed at the end of the block."""
    programs = binaries()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="seiko-pg-"))
    folder.chmod(0o711)
    data = folder / "data"
    data.mkdir(mode=0o700)
    user = _as_somebody(data)
    _ = user and os.chown(folder, data.stat().st_uid, data.stat().st_gid)
    try:
        initdb = [*user, str(programs / "initdb"), "-D", str(data), "-U", "seiko", "-A", "trust", "--no-sync"]
        subprocess.run([*initdb, "-E", "UTF8", "--locale=C"], check=True, capture_output=True, cwd=folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        listen = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "max_connections=100"]
        process = subprocess.Popen(
            [*user, str(programs / "postgres"), "-D", str(data), *listen, *options],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            url = f"postgresql://seiko@127.0.0.1:{port}/postgres"
            _wait_for(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    until = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database; skipped where there is no server, failed where one is required."""
    if reason := why_not():
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{reason}, and {REQUIRED}=1 asks for it")
        pytest.skip(f"not run: {reason}")
    with server() as url:
        yield url
