"""Images decoded by Pillow: small ones in a thread, large ones in a process of their own.

``python -m gateway.image_decoder`` decodes the image on its standard input, and says so by its exit status.
"""

import asyncio
import io
import struct
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from core.kernel.errors import Unavailable
from core.kernel.turns import FairTurns, TooManyWait
from core.ports.images import ImageTooLarge, UnreadableImage

_FORMATS = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
}
_MEGA = 1_000_000
#: A JPEG may go over all of its pixels in each of many scans; usual ones have ten or so. One of the most pixels may
#: have as many, a smaller one more.
_SCANS_OF_THE_LARGEST = 10
_START_OF_SCAN = b"\xff\xda"
#: Pixels of the largest image that is decoded in a thread. Pillow copies some kinds at once when they are decoded, 4
#: bytes a pixel, and lets no other thread run meanwhile.
_SMALL_PIXELS = 8 * _MEGA
#: At most so many at once: an image takes up to 4 MB a megapixel while it is decoded.
_AT_ONCE = 2
#: Each holds its bytes meanwhile.
_MAX_WAITING = 32
_MAX_WAITING_OF_NETWORK = 8
_RETRY_AFTER_SECONDS = 1
_DECODE_SECONDS = 30.0
#: What Pillow raises about images that are none.
_UNREADABLE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError)

# Sizes are checked here, against a bound of our own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class _Header(NamedTuple):
    media_type: str
    pixels: int
    scans: int


class PillowDecoder:
    """Decodes a few images at once; who would wait behind many others is told to come again."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="images")
        self._turns = FairTurns(_AT_ONCE, most=_MAX_WAITING, most_of_one=_MAX_WAITING_OF_NETWORK)

    async def media_type(self, content: bytes, most_megapixels: int, network: str) -> str:
        """See `core.ports.images.ImageDecoder`."""
        try:
            async with self._turns.turn(network):
                return await self._look(content, most_megapixels * _MEGA)
        except TooManyWait:
            raise Unavailable("Too many images are being looked at.", _RETRY_AFTER_SECONDS) from None

    async def _look(self, content: bytes, most_pixels: int) -> str:
        loop = asyncio.get_running_loop()
        header = await loop.run_in_executor(self._threads, _read_header, content)
        if header.pixels > most_pixels or header.pixels * header.scans > most_pixels * _SCANS_OF_THE_LARGEST:
            raise ImageTooLarge
        if header.pixels <= _SMALL_PIXELS:
            await loop.run_in_executor(self._threads, _decode, content)
        else:
            await _decode_apart(content)
        return header.media_type

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP", "GIF"))


def _read_header(content: bytes) -> _Header:
    try:
        with _open(content) as image:
            scans = content.count(_START_OF_SCAN) if image.format in ("JPEG", "MPO") else 1
            return _Header(_FORMATS[str(image.format)], image.width * image.height, scans)
    except Image.DecompressionBombError:
        raise ImageTooLarge from None
    except _UNREADABLE:
        raise UnreadableImage from None


def _decode(content: bytes) -> None:
    try:
        with _open(content) as image:
            image.load()
    except Image.DecompressionBombError:
        raise ImageTooLarge from None
    except _UNREADABLE:
        raise UnreadableImage from None


async def _decode_apart(content: bytes) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_DECODE_SECONDS):
            await process.communicate(content)
    except TimeoutError:
        raise ImageTooLarge from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise UnreadableImage


if __name__ == "__main__":
    try:
        _decode(sys.stdin.buffer.read())
    except (UnreadableImage, ImageTooLarge):
        sys.exit(1)
