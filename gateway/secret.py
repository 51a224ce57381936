"""The secret that signs tokens: given by a setting, or generated once and kept in the data directory."""

import os
import secrets
from pathlib import Path

from gateway.settings import Settings
from gateway.startup_errors import BadSettings

_FILE_NAME = "jwt-secret"


def signing_secret(settings: Settings) -> str:
    """The secret of this process; a generated one is readable by the owner of the file only.

    Raises:
        BadSettings: the file cannot be made or read, or holds no secret.
    """
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value()
    path = settings.data_dir / _FILE_NAME
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        secret = path.read_text().strip()
    except OSError as error:
        raise BadSettings(f"PETSTORE_DATA_DIR={settings.data_dir}: {error.strerror}: {path}") from None
    if len(secret) < 32:
        raise BadSettings(f"{path} holds no secret of 32 characters: remove it, and all logins end")
    return secret


def _make(path: Path) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # Unlike a rename, a link does not replace the file of another process that was faster.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
