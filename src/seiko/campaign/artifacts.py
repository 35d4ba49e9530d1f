"""Where weights lie, each file under the hash of its content: a folder, a URL, or the database itself."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from seiko.errors import CampaignError, MissingDependencyError


class Artifacts(Protocol):
    """Bytes under the hash of their content."""

    def put(self, content: bytes) -> str:
        """Write `content` durably and return its hash; again, it writes nothing."""

    def get(self, digest: str) -> bytes:
        """The bytes with this hash; CampaignError if they are missing or damaged."""


def digest_of(content: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable, not only the bytes behind them."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderArtifacts:
    """Files in a folder; a half-written one is never seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        target = self.folder / digest
        try:
            if not _holds(target, digest):
                self.folder.mkdir(parents=True, exist_ok=True)
                _write_durably(target, content)
        except OSError as error:
            raise _unwritten(str(target), error) from error
        return digest

    def get(self, digest: str) -> bytes:
        target = self.folder / digest
        try:
            content = target.read_bytes()
        except OSError as error:
            raise _unread(str(target), error) from error
        return _checked(content, digest, str(target))


class RemoteArtifacts:
    """Objects under an fsspec URL: S3, a file server, memory.

    Raises:
        MissingDependencyError: If fsspec, or its package for this kind of URL, is not installed.
        CampaignError: If the URL means nothing to fsspec.
    """

    def __init__(self, url: str) -> None:
        try:
            import fsspec

            self._files, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise MissingDependencyError(
                f"Artifacts at {url} need another package: {error}.",
                hint="pip install fsspec and what it names",
            ) from error
        except Exception as error:  # whatever a file system raises
            raise CampaignError(f"Artifacts cannot be kept at {url}: {error}.") from error
        self._url, self._root = url.rstrip("/"), root.rstrip("/")

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        path = f"{self._root}/{digest}"
        try:
            if not self._holds(path, digest):
                self._files.makedirs(self._root, exist_ok=True)
                self._files.pipe_file(path, content)
        except Exception as error:
            raise _unwritten(f"{self._url}/{digest}", error) from error
        return digest

    def get(self, digest: str) -> bytes:
        try:
            content = self._files.cat_file(f"{self._root}/{digest}")
        except Exception as error:
            raise _unread(f"{self._url}/{digest}", error) from error
        return _checked(content, digest, f"{self._url}/{digest}")

    def _holds(self, path: str, digest: str) -> bool:
        return bool(self._files.exists(path)) and digest_of(self._files.cat_file(path)) == digest


class StoredArtifacts:
    """Rows of the campaign's own database."""

    def __init__(
        self,
        read: Callable[[Iterable[str]], Mapping[str, bytes]],
        write: Callable[[Iterable[bytes]], Any],
        what: str,
    ) -> None:
        self._read, self._write, self._what = read, write, what

    def put(self, content: bytes) -> str:
        self._write([content])
        return digest_of(content)

    def get(self, digest: str) -> bytes:
        found = self._read([digest])
        if digest not in found:
            raise _unread(f"{self._what}/{digest}", FileNotFoundError("it is not there"))
        return _checked(found[digest], digest, f"{self._what}/{digest}")


def _holds(target: Path, digest: str) -> bool:
    return target.is_file() and digest_of(target.read_bytes()) == digest


def _write_durably(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(target.parent)


def _checked(content: bytes, digest: str, what: str) -> bytes:
    if digest_of(content) != digest:
        raise CampaignError(
            f"The artifact {what} is damaged: its {len(content)} bytes do not have the hash in its name.",
            hint="Restore it from a copy, or ask: what was learned is then learned again from the readings.",
        )
    return content


def _unread(what: str, error: Exception) -> CampaignError:
    return CampaignError(
        f"The artifact {what} cannot be read: {_reason(error)}.",
        hint="Restore it from a copy, or ask: what was learned is then learned again from the readings.",
    )


def _unwritten(what: str, error: Exception) -> CampaignError:
    return CampaignError(
        f"The artifact {what} could not be written: {_reason(error)}.",
        hint="Make room or mend the permissions; nothing else was changed.",
    )


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
