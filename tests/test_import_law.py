"""What import-linter can't say: it forbids names, and here all but a few are forbidden."""

import sys

import grimp

ALLOWED = sys.stdlib_module_names | {"core", "pydantic", "pydantic_core"}


def test_core_imports_nothing_but_the_standard_library_and_pydantic() -> None:
    graph = grimp.build_graph("core", include_external_packages=True, cache_dir=None)
    assert {module for module in graph.modules if module.split(".")[0] not in ALLOWED} == set()
