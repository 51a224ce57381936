"""Numbers of pets and orders: the store counts on, past those that classic clients have chosen."""

from typing import TypeVar

from core.kernel.model import Numbered
from core.ports.records import Between, Equal, Query, Taken, Transaction, TransientFailure

N = TypeVar("N", bound=Numbered)

#: Chosen numbers in a row that are read at once.
_RUN = 500


async def free_number(tx: Transaction, kind: type[N], series: str) -> int:
    """The next number of a series that no record of the kind has."""
    number = await tx.next_number(series)
    if not await tx.count(Query(kind, (Equal("number", number),))):
        return number
    while True:
        row = await tx.find(Query(kind, (Between("number", number, number + _RUN - 1),), order="number"))
        taken = {record.number for record in row}
        free = next((chosen for chosen in range(number, number + _RUN) if chosen not in taken), None)
        if free is not None:
            await tx.raise_number(series, free)
            return free
        number += _RUN


async def insert_numbered(tx: Transaction, record: Numbered) -> None:
    """Add a record whose number was free a moment ago.

    Raises:
        TransientFailure: it is no longer; the retried transaction finds out whose it is.
    """
    try:
        await tx.insert(record)
    except Taken:
        raise TransientFailure("the number was taken meanwhile") from None
