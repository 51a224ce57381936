"""The files in proto/: what is written there for people, and for those who generate code from them."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

import core.services.catalogue  # noqa: F401 - so that all models are there
from core.kernel.describing import Described, DescribedEnum, member_text, texts_of
from core.models.pets import PetStatus

PROTO = Path(__file__).parents[3] / "proto"
FILES = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
BUF = Path(sys.executable).with_name("buf")

#: An element: its path in the file (descriptor.proto, SourceCodeInfo.Location), and its name.
Element = tuple[tuple[int, ...], str]


def numbers(kind: Any) -> dict[str, int]:
    """The numbers of a message's fields."""
    return {field.name: field.number for field in kind.DESCRIPTOR.fields}


def named(path: Sequence[int], kind: Any, field: str, items: Any, name: str) -> Iterator[tuple[Any, Element]]:
    """The items of one field of a descriptor."""
    for place, item in enumerate(items):
        yield item, ((*path, numbers(kind)[field], place), f"{name}.{item.name}")


def in_enum(path: Sequence[int], enum: EnumDescriptorProto, name: str) -> Iterator[Element]:
    """The values of an enum."""
    return (element for _, element in named(path, EnumDescriptorProto, "value", enum.value, name))


def in_message(path: Sequence[int], message: DescriptorProto, name: str) -> Iterator[Element]:
    """What a message declares; each optional field has a oneof, and each map a message, that nobody wrote."""
    for _, element in named(path, DescriptorProto, "field", message.field, name):
        yield element
    members = (field for field in message.field if field.HasField("oneof_index"))
    written = {field.oneof_index for field in members if not field.proto3_optional}
    for place, (_, element) in enumerate(
        named(path, DescriptorProto, "oneof_decl", message.oneof_decl, name)
    ):
        if place in written:
            yield element
    for inner, element in named(path, DescriptorProto, "nested_type", message.nested_type, name):
        if not inner.options.map_entry:
            yield element
            yield from in_message(*element[:1], inner, element[1])
    for inner, element in named(path, DescriptorProto, "enum_type", message.enum_type, name):
        yield element
        yield from in_enum(*element[:1], inner, element[1])


def elements(file: FileDescriptorProto) -> Iterator[Element]:
    """All that a file declares."""
    for message, element in named((), FileDescriptorProto, "message_type", file.message_type, ""):
        yield element
        yield from in_message(*element[:1], message, element[1])
    for enum, element in named((), FileDescriptorProto, "enum_type", file.enum_type, ""):
        yield element
        yield from in_enum(*element[:1], enum, element[1])
    for service, (path, name) in named((), FileDescriptorProto, "service", file.service, ""):
        yield path, name
        for _, element in named(path, type(service), "method", service.method, name):
            yield element


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileDescriptorProto]:
    """What the compiler makes of the files, with their comments."""
    out = tmp_path_factory.mktemp("proto") / "files"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}", "--include_source_info"]
    subprocess.run([*command, f"--descriptor_set_out={out}", *FILES], check=True)
    return {file.name: file for file in FileDescriptorSet.FromString(out.read_bytes()).file}


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_without_a_comment(files: dict[str, FileDescriptorProto], name: str) -> None:
    file = files[name]
    commented = {
        tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()
    }
    declared = list(elements(file))
    assert len(declared) > 3
    assert [element for path, element in declared if path not in commented] == []


def _kinds(base: type[Any]) -> dict[str, type[Any]]:
    """All models, or all enumerations, by their names."""
    found: dict[str, type[Any]] = {}
    for kind in base.__subclasses__():
        found |= {kind.__name__: kind, **_kinds(kind)}
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_comment_says_what_the_model_says(files: dict[str, FileDescriptorProto], name: str) -> None:
    """What a message's field has to say besides, as the form of a string, stands behind it."""
    file = files[name]
    models = _kinds(Described)
    enums: dict[str, type[Any]] = {**_kinds(DescribedEnum), "Status": PetStatus}
    comments = {
        tuple(place.path): " ".join(place.leading_comments.split())
        for place in file.source_code_info.location
    }
    expected = {}
    for message, (path, _) in named((), FileDescriptorProto, "message_type", file.message_type, ""):
        model = models.get(message.name)
        for field, (place, _) in named(path, DescriptorProto, "field", message.field, message.name):
            expected[place] = "" if model is None else member_text(model, field.name)
    for enum, (path, _) in named((), FileDescriptorProto, "enum_type", file.enum_type, ""):
        texts = texts_of(enums[enum.name]) if enum.name in enums else {}
        prefix = "" if enum.value[0].name.startswith(("SPECIES_", "STATUS_")) else f"{_snake(enum.name)}_"
        for value, (place, _) in named(path, EnumDescriptorProto, "value", enum.value, enum.name):
            expected[place] = texts.get(value.name.removeprefix(prefix), "")
    wrong = {
        place: (comments[place], text)
        for place, text in expected.items()
        if not comments[place].startswith(text.replace("``", "`"))
    }
    assert wrong == {}


def _snake(name: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).upper()


@pytest.mark.parametrize("name", FILES)
def test_code_of_every_language_has_its_package(files: dict[str, FileDescriptorProto], name: str) -> None:
    options = files[name].options
    assert options.go_package == "petstoreapi.com/petstore/v1;petstorev1"
    assert options.java_package == "com.petstoreapi.v1"
    assert options.java_multiple_files
    assert options.csharp_namespace == "PetstoreApi.V1"


@pytest.mark.parametrize(
    "check",
    [("lint", "proto"), ("breaking", "proto", "--against", "proto/released.binpb")],
    ids=lambda check: check[0],
)
def test_buf_is_content(check: tuple[str, ...]) -> None:
    done = subprocess.run([BUF, *check], cwd=PROTO.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
