"""Whatever is sent, it is answered or its connection ended, and everybody else goes on being served."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.hostile.corpus import CORPUS, DOORS
from tests.hostile.inputs import Input, is_internal
from tests.hostile.probes import Probes
from tests.hostile.target import Target, target

#: Inputs of one door that are sent at once, so that the corpus takes seconds.
_AT_ONCE = 8
#: What the process may have grown by after the whole corpus: caches that are full, and what the allocator keeps.
_MAX_GROWTH_BYTES = 400 * 2**20


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One node for all inputs."""
    with target(tmp_path_factory.mktemp("hostile")) as running:
        yield running


@pytest.fixture(scope="module")
def probes(gateway: Target) -> Iterator[Probes]:
    """Two clients who are served all the while."""
    running = Probes(gateway.url, gateway.place.staff, gateway.place.pet)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def resident_before(gateway: Target, probes: Probes) -> int:
    """What the process took before any input."""
    probes.delays()
    return gateway.resident_bytes()


async def outcomes(gateway: Target, inputs: list[Input]) -> dict[str, str]:
    """Send the inputs, and give the outcome of each."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def outcome(one: Input) -> str:
        async with room:
            return await one.send(gateway.place)

    found = await asyncio.gather(*(outcome(one) for one in inputs))
    return {one.name: outcome for one, outcome in zip(inputs, found, strict=True)}


def test_there_are_enough() -> None:
    assert len(CORPUS) >= 200
    assert len({(one.door, one.name) for one in CORPUS}) == len(CORPUS)


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
async def test_every_input_is_answered_and_nobody_else_notices(
    gateway: Target, probes: Probes, resident_before: int, door: str
) -> None:
    found = await outcomes(gateway, [one for one in CORPUS if one.door == door])
    assert {name: outcome for name, outcome in found.items() if is_internal(outcome)} == {}
    delays = await asyncio.to_thread(probes.delays)
    assert delays.answers
    assert delays.events
    assert gateway.faults() == []


def test_what_is_there_from_the_start_is_spared_the_garbage_collector(gateway: Target) -> None:
    assert gateway.figures.read().spared > 100_000


@pytest.mark.slow
def test_the_process_does_not_grow_without_bound(gateway: Target, resident_before: int) -> None:
    assert gateway.resident_bytes() - resident_before < _MAX_GROWTH_BYTES
