"""Images as files in the data directory, one folder for each tenant."""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from core.kernel.errors import Unavailable
from core.kernel.ids import TenantId

#: Names that are handed out together.
_PAGE_SIZE = 500
#: Space that is left free where images lie: the database may lie there too.
_RESERVED_BYTES = 512 * 1024 * 1024
_RESERVED_SHARE = 0.05
_RETRY_AFTER_SECONDS = 60
_DRAFT_PREFIX = ".draft-"
_DRAFT_PATTERN = re.compile(r"\.draft-[A-Za-z0-9_]{1,50}")
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class FileImages:
    """The image store on a file system that all nodes share. Files are written atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, tenant: TenantId, name: str, content: bytes) -> None:
        """Store an image: it is on the disk when this returns.

        Raises:
            ValueError: the name is not a plain file name.
            Unavailable: the disk is all but full.
        """
        await asyncio.to_thread(self._write, self._path(tenant, name), content)

    async def get(self, tenant: TenantId, name: str) -> bytes | None:
        """The bytes of an image, or None."""
        try:
            path = self._path(tenant, name)
        except ValueError:
            return None
        return await asyncio.to_thread(_read, path)

    async def delete(self, tenant: TenantId, name: str) -> None:
        """Remove an image; a missing one is no error."""
        is_draft = _DRAFT_PATTERN.fullmatch(name)
        path = self._path(tenant, "any").with_name(name) if is_draft else self._path(tenant, name)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def pages(self) -> AsyncIterator[tuple[TenantId, list[str]]]:
        """The names of all files, a few hundred of one tenant at a time, drafts among them. Empty folders go."""
        for tenant in await asyncio.to_thread(_names, self._folder):
            folder = self._folder / tenant
            names = await asyncio.to_thread(_names, folder)
            for start in range(0, len(names), _PAGE_SIZE):
                yield TenantId(tenant), names[start : start + _PAGE_SIZE]
            if not names:
                # One that an upload has made just now is made again.
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(folder.rmdir)

    def _path(self, tenant: TenantId, name: str) -> Path:
        for part in (tenant, name):
            if not _NAME_PATTERN.fullmatch(part):
                raise ValueError("not a plain name of a file")
        return self._folder / tenant / name

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        descriptor, draft = _draft_in(path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(draft).unlink()
            raise
        # The name is durable only when its folder is.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _draft_in(folder: Path) -> tuple[int, str]:
    """A new file in a folder, which is made where it is missing.

    Raises:
        Unavailable: the disk is all but full.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        disk = shutil.disk_usage(folder)
        if disk.free < min(_RESERVED_BYTES, disk.total * _RESERVED_SHARE):
            raise Unavailable("There is no room for more images.", _RETRY_AFTER_SECONDS)
        # An empty folder may be removed at any time.
        with contextlib.suppress(FileNotFoundError):
            return tempfile.mkstemp(dir=folder, prefix=_DRAFT_PREFIX)


def _names(folder: Path) -> list[str]:
    """What lies in a folder and may be ours."""
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in entries
                if _NAME_PATTERN.fullmatch(entry.name) or _DRAFT_PATTERN.fullmatch(entry.name)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
