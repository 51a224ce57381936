"""Numbers of pets and orders: the store counts on, past those that classic clients have chosen."""

from typing import TypeVar

from core.kernel.model import Numbered
from core.ports.records import Between, Query, Taken, Transaction, TransientFailure

N = TypeVar("N", bound=Numbered)


async def free_number(tx: Transaction, kind: type[N], series: str) -> int:
    """The next number of a series that no record of the kind has.

    Clients may have chosen a million in a row. They are not read: that many steps of an index are counted.
    """

    async def all_taken(first: int, numbers: int) -> bool:
        return await tx.count(Query(kind, (Between("number", first, first + numbers - 1),))) == numbers

    number = given = await tx.next_number(series)
    run = 1
    while await all_taken(number, run):
        number += run
        run *= 2
    # One of these is free; the first that is.
    while run > 1:
        run //= 2
        if await all_taken(number, run):
            number += run
    if number != given:
        await tx.raise_number(series, number)
    return number


async def insert_numbered(tx: Transaction, record: Numbered) -> None:
    """Add a record whose number was free a moment ago.

    Raises:
        TransientFailure: it is no longer; the retried transaction finds out whose it is.
    """
    try:
        await tx.insert(record)
    except Taken:
        raise TransientFailure("the number was taken meanwhile") from None
