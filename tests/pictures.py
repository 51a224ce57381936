"""Small pictures for tests."""

import io
import struct
import zlib

from PIL import Image


def picture(kind: str = "PNG", width: int = 1, height: int = 1) -> bytes:
    """A whole picture; ``kind`` is what Pillow calls its format."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (250, 180, 40)).save(file, kind)
    return file.getvalue()


def png_that_claims(width: int, height: int, data: bytes = b"") -> bytes:
    """A grey PNG with a size in its header that its data needn't have."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(data)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


PNG = picture()
