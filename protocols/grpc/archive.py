"""The .proto files of the door in one archive, for whoever makes a client of them."""

import io
import zipfile
from importlib import resources
from pathlib import Path

from protocols.grpc import _generated

#: The earliest that the format can tell, so that the same files make the same archive.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def proto_archive() -> bytes:
    """A ZIP file, laid out for ``--proto_path``: ``petstore/v1/pets.proto``, …"""
    content = io.BytesIO()
    with resources.as_file(resources.files(_generated)) as root, zipfile.ZipFile(content, "w") as archive:
        for file in sorted(Path(root).rglob("*.proto")):
            entry = zipfile.ZipInfo(file.relative_to(root).as_posix(), _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())
    return content.getvalue()
