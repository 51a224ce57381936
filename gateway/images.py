"""Images as files in the data directory, one folder for each tenant."""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from core.kernel.ids import TenantId

_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class FileImages:
    """The image store on a file system that all nodes share. Files are written atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, tenant: TenantId, name: str, content: bytes) -> None:
        """Store an image: it is on the disk when this returns.

        Raises:
            ValueError: the name is not a plain file name.
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
        await asyncio.to_thread(self._path(tenant, name).unlink, missing_ok=True)

    async def delete_all(self, tenant: TenantId) -> None:
        """Remove every image of a tenant."""
        folder = self._path(tenant, "any").parent
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _path(self, tenant: TenantId, name: str) -> Path:
        for part in (tenant, name):
            if not _NAME_PATTERN.fullmatch(part):
                raise ValueError("not a plain name of a file")
        return self._folder / tenant / name

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".")
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


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
