"""The documents of GraphQL and gRPC, as the programs that read them take them from a gateway."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from graphql import build_schema

from tests.http_clients import ask
from tests.process import Gateway
from tests.waiting import TIMEOUT_SECONDS

BUF = Path(sys.executable).with_name("buf")
PROTO = Path(__file__).parents[2] / "proto"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("downloads")) as running:
        yield running


def built(source: str, cache: Path) -> dict[str, bytes]:
    """What buf makes of a folder or an archive: each file with its comments."""
    done = subprocess.run(
        [BUF, "build", source, "--output=-"],
        env=os.environ | {"BUF_CACHE_DIR": str(cache)},
        capture_output=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    return {file.name: file.SerializeToString() for file in FileDescriptorSet.FromString(done.stdout).file}


def test_buf_reads_the_proto_files_where_they_are(gateway: Gateway, tmp_path: Path) -> None:
    served = built(f"{gateway.url}/v1/proto.zip", tmp_path)
    assert "petstore/v1/pets.proto" in served
    assert served == built(str(PROTO), tmp_path)


def test_the_schema_of_graphql_is_one(gateway: Gateway) -> None:
    schema = build_schema(ask("GET", f"{gateway.url}/v1/schema.graphql").text)
    assert {"Pet", "Order", "Payment", "Event"} <= schema.type_map.keys()


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("/v1/proto.zip", "application/zip"), ("/v1/schema.graphql", "text/plain; charset=utf-8")],
)
def test_a_copy_is_kept_while_it_is_current(gateway: Gateway, path: str, media_type: str) -> None:
    first = ask("GET", gateway.url + path)
    assert (first.status_code, first.headers["content-type"]) == (200, media_type)
    tag = first.headers["etag"]
    assert ask("GET", gateway.url + path, headers={"If-None-Match": tag}).status_code == 304
    assert ask("GET", gateway.url + path, headers={"If-None-Match": '"old"'}).content == first.content
    assert ask("HEAD", gateway.url + path).headers["content-length"] == str(len(first.content))
    assert ask("POST", gateway.url + path).status_code == 405
