"""The data directory belongs to one process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.settings import PREFIX, Settings
from gateway.startup_errors import BadSettings, CannotStart

_LOCK_FILE = "lock"


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Hold the data directory while the block runs; it is let go when the process dies, however it does.

    Several nodes share theirs for its images: what could not be shared is in PostgreSQL and Redis then.

    Raises:
        BadSettings: the directory cannot be made.
        CannotStart: another process holds it.
    """
    if settings.several_processes is not None:
        yield
        return
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise BadSettings(f"{PREFIX}DATA_DIR={folder}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(
                f"{folder.absolute()} belongs to another process of the store: stop it, or set {PREFIX}DATA_DIR"
            ) from None
        yield
    finally:
        os.close(lock)
