"""Files of images that no record names: a node stopped between the one and the other. They are removed."""

import logging

from core.models.images import Image
from core.ports.records import OneOf, Query
from core.store.parts import StoreParts

log = logging.getLogger(__name__)

#: Names that are remembered from one round to the next; the rest has its turn later.
_MAX_ORPHANS = 10_000


class OrphanImages:
    """Looks for such files, on one node.

    An image is written before its record, so a file without one may belong to an upload that goes on. A file is removed
    when it has no record in two rounds: they must be further apart than any request may last. No clock is asked.
    """

    def __init__(self, store: StoreParts) -> None:
        self._store = store
        self._found: set[tuple[str, str]] = set()

    async def sweep(self) -> int:
        """Look once; says how many files are removed."""
        before, self._found = self._found, set()
        removed = 0
        async for tenant, names in self._store.images.pages():
            async with self._store.storage.read(tenant) as tx:
                known = {image.id for image in await tx.find(Query(Image, (OneOf("id", tuple(names)),)))}
            for name in names:
                if name in known:
                    continue
                if (tenant, name) in before:
                    await self._store.images.delete(tenant, name)
                    removed += 1
                elif len(self._found) < _MAX_ORPHANS:
                    self._found.add((tenant, name))
        if removed:
            log.info("files of images that no record names are removed", extra={"files": removed})
        return removed
