"""Images decoded by Pillow, in threads of their own."""

import asyncio
import io
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor

from PIL import Image, UnidentifiedImageError

from core.kernel.errors import Unavailable
from core.ports.images import ImageTooLarge, UnreadableImage

_FORMATS = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
}
_MAX_PIXELS = 40_000_000
#: A JPEG may go over all of its pixels in each of many scans: this bounds their product.
_MAX_SCANNED_PIXELS = 10 * _MAX_PIXELS
_START_OF_SCAN = b"\xff\xda"
#: An image of the most pixels takes up to 160 MB while it is decoded.
_THREADS = 2
_MAX_WAITING = 32
_RETRY_AFTER_SECONDS = 1

# Sizes are checked here, against a bound of our own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class PillowDecoder:
    """Decodes in at most two threads; who would wait behind many others is told to come again."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="images")
        self._waiting = 0

    async def media_type(self, content: bytes) -> str:
        """See `core.ports.images.ImageDecoder`."""
        if self._waiting >= _MAX_WAITING:
            raise Unavailable("Too many images are being looked at.", _RETRY_AFTER_SECONDS)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _decode, content)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _decode(content: bytes) -> str:
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP", "GIF")) as image:
            pixels = image.width * image.height
            scans = content.count(_START_OF_SCAN) if image.format in ("JPEG", "MPO") else 1
            if pixels > _MAX_PIXELS or pixels * scans > _MAX_SCANNED_PIXELS:
                raise ImageTooLarge
            image.load()
            return _FORMATS[str(image.format)]
    except Image.DecompressionBombError:
        raise ImageTooLarge from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError):
        raise UnreadableImage from None
