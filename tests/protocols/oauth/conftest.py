"""One gateway for the tests of a module, in demo mode."""

from collections.abc import Iterator

import pytest

from tests.process import Gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A running gateway."""
    with Gateway(tmp_path_factory.mktemp("oauth"), demo="true", oauth_registration="true") as running:
        yield running
