"""Python code generated from the files in proto/, for `make contracts`; the server does not need the compiler.

The files themselves go with the code, for the server to hand them out wherever it is installed.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

_PACKAGE = "protocols.grpc._generated"


def generated_code(root: Path) -> dict[str, str]:
    """The modules of messages and stubs and the files that they are made of, by their paths below ``root``, the
    repository.

    The compiler writes imports by the paths of the .proto files below proto/; they are changed to those of the
    modules.
    """
    proto = root / "proto"
    sources = sorted(str(path.relative_to(proto)) for path in proto.rglob("*.proto"))
    folder = _PACKAGE.replace(".", "/")
    code = {f"{folder}/__init__.py": '"""Made from proto/ by `make contracts`; never written by hand."""\n'}
    code |= {f"{folder}/{source}": (proto / source).read_text(encoding="utf-8") for source in sources}
    with TemporaryDirectory() as out:
        subprocess.run(  # noqa: S603 - the compiler of this environment, on files of this repository
            [
                sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={proto}",
                *(f"--plugin=protoc-gen-{name}={Path(sys.executable).with_name(f'protoc-gen-{name}')}"
                  for name in ("mypy", "mypy_grpc")),
                *(f"--{name}_out={out}" for name in ("python", "mypy", "grpc_python", "mypy_grpc")),
                *sources,
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        for path in sorted(Path(out).rglob("*.py*")):
            place = path.relative_to(out)
            text = path.read_text(encoding="utf-8").replace("from petstore.", f"from {_PACKAGE}.petstore.")
            code[f"{folder}/{place}"] = text
            for parent in place.parents[:-1]:
                code[f"{folder}/{parent}/__init__.py"] = ""
    return code
