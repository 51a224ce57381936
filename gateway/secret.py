"""What signs tokens: a secret, given by a setting or made once and kept in the data directory; or keys from files."""

import asyncio
import os
import secrets
from pathlib import Path

from core.kernel.clock import utc_now
from gateway.security.keys import SigningKey, load_keys
from gateway.security.tokens import HmacSigner, KeySigner
from gateway.settings import Settings
from gateway.startup_errors import BadSettings

_FILE_NAME = "jwt-secret"


def token_signer(settings: Settings) -> HmacSigner | KeySigner:
    """What signs the tokens of this process.

    Raises:
        BadSettings: the secret or a key cannot be read or made, or is none.
    """
    secret, keys = signing_secret(settings), signing_keys(settings)
    return KeySigner(secret, keys, utc_now()) if keys else HmacSigner(secret)


async def renew_keys(settings: Settings, signer: KeySigner) -> None:
    """Take what the files hold by now.

    Raises:
        BadSettings: a key cannot be used; those from before are kept then.
    """
    signer.use(await asyncio.to_thread(signing_keys, settings), utc_now())


def signing_keys(settings: Settings) -> tuple[SigningKey, ...]:
    """The keys of `PETSTORE_JWT_KEYS`, none without it. A process that is alone makes the first one.

    Raises:
        BadSettings: one cannot be read or made, or is none.
    """
    if settings.jwt_keys is None:
        return ()
    return load_keys(settings.jwt_keys, make=settings.several_processes is None)


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
