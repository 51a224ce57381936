"""Settings come from the environment, and a bad one is named in a line without its secret."""

from pathlib import Path

import pytest

from gateway.secret import signing_secret
from gateway.settings import Settings, load_settings
from gateway.startup_errors import BadSettings

SECRET = "a-secret-of-more-than-thirty-two-characters"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def complaint(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    for name, value in values.items():
        monkeypatch.setenv(f"PETSTORE_{name}", value)
    with pytest.raises(BadSettings) as caught:
        load_settings()
    return str(caught.value)


def test_the_command_line_goes_before_the_environment_and_that_before_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("PETSTORE_PORT=1\nPETSTORE_WORKERS=1\nPETSTORE_HOST=file\n")
    monkeypatch.setenv("PETSTORE_PORT", "2")
    monkeypatch.setenv("PETSTORE_HOST", "environment")
    settings = load_settings(port=3, host=None)
    assert (settings.port, settings.host) == (3, "environment")


def test_a_file_that_is_no_text_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PETSTORE_PORT=1\n\xff\xfe")
    with pytest.raises(BadSettings, match=r"^\.env: .*utf-8.*$"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "99999", "PETSTORE_PORT=99999: "),
        ("LOG_FORMAT", "xml", "PETSTORE_LOG_FORMAT=xml: "),
        ("PUBLIC_URL", "store.example", "is no http:// or https:// address"),
        ("PUBLIC_URL", "https://store.example/?a=b", "is no http:// or https:// address"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, office", "'office' is neither an address, a network nor *"),
        ("TLS_KEY", "/nowhere", "there is no file /nowhere"),
        ("ADVISOR_URL", "ftp://models.example", "PETSTORE_ADVISOR_URL=ftp://models.example: is no http"),
        (
            "ADVISOR_URL",
            "http://models.example/v1",
            "PETSTORE_ADVISOR_URL and PETSTORE_ADVISOR_MODEL go together",
        ),
        ("ADVISOR_MODEL", "some-model", "PETSTORE_ADVISOR_URL and PETSTORE_ADVISOR_MODEL go together"),
        ("ADVISOR_API_KEY", "sk-secret", "PETSTORE_ADVISOR_API_KEY needs PETSTORE_ADVISOR_URL"),
        ("WORKERS", "4", "more than one worker needs PETSTORE_REDIS_URL"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    text = complaint(monkeypatch, **{name: value})
    assert words in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SECRET", "hush"),
        ("DATABASE_URL", "mysql://user:hush@host/pets"),
        ("REDIS_URL", "http://:hush@host"),
    ],
)
def test_the_value_of_a_secret_setting_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    text = complaint(monkeypatch, **{name: value})
    assert f"PETSTORE_{name}: " in text
    assert "hush" not in text


def test_settings_do_not_show_their_secrets() -> None:
    good = load_settings(jwt_secret=SECRET, database_url="postgresql://user:hush@host/pets")
    assert "hush" not in repr(good)
    assert SECRET not in repr(good)


def test_all_errors_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = complaint(monkeypatch, PORT="x", RATE_LIMIT="-1")
    assert "PETSTORE_PORT" in text
    assert "PETSTORE_RATE_LIMIT" in text


def test_demo_mode_stays_on_the_loopback_address_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "loopback" in complaint(monkeypatch, DEMO="1", HOST="0.0.0.0")
    monkeypatch.setenv("PETSTORE_DEMO_PUBLIC", "true")
    assert load_settings().demo


def test_passwords_are_hashed_cheaply_on_the_loopback_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load_settings().insecure_password_hash
    text = complaint(monkeypatch, INSECURE_PASSWORD_HASH="1", HOST="0.0.0.0")
    assert "PETSTORE_INSECURE_PASSWORD_HASH" in text
    assert "\n" not in text
    assert load_settings(host="127.0.0.1").insecure_password_hash


def test_any_proxy_can_be_trusted_by_a_star(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETSTORE_TRUSTED_PROXIES", "*")
    assert load_settings().trusted_proxies == ("*",)


def test_the_proxy_protocol_needs_a_proxy_whose_word_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "PETSTORE_TRUSTED_PROXIES" in complaint(monkeypatch, MQTT_PROXY_PROTOCOL="true")
    monkeypatch.setenv("PETSTORE_TRUSTED_PROXIES", "10.0.0.1")
    assert load_settings().mqtt_proxy_protocol


def test_the_token_of_the_metrics_cannot_be_guessed_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    text = complaint(monkeypatch, METRICS_TOKEN="too-short")
    assert "PETSTORE_METRICS_TOKEN: needs at least 32 characters" in text
    assert "too-short" not in text


def test_the_public_address_is_among_the_origins_of_websockets_where_some_are_named() -> None:
    public = "https://store.example/shop"
    assert Settings(public_url=public).socket_origins == ()
    named = Settings(public_url=public, cors_origins=("https://a.example",))
    assert named.socket_origins == ("https://a.example", "https://store.example")


def test_a_lone_process_makes_its_secret_once_for_the_owner_s_eyes_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    first = signing_secret(settings)
    assert signing_secret(settings) == first
    (kept,) = (tmp_path / "data").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert len(first) == 64


def test_a_secret_that_is_given_is_used_and_written_nowhere(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "data", jwt_secret=SECRET)
    assert signing_secret(settings) == SECRET
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_made_is_a_bad_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSettings, match="PETSTORE_DATA_DIR"):
        signing_secret(Settings(data_dir=tmp_path / "file" / "data"))
