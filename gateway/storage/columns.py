"""Column types that mean the same on SQLite and PostgreSQL: equal values, equal order, exact round trips."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

#: Text that is compared and ordered by code point; PostgreSQL would else follow the database's locale.
TEXT: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")
#: A nested value. A missing one is SQL's NULL, never JSON's null.
NESTED: TypeEngine[Any] = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class UtcTime(TypeDecorator[datetime]):
    """A moment, exact to the microsecond; comes back in UTC. SQLite keeps text of fixed width, which orders right."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Bring an aware time to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without its zone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Say that what SQLite kept is UTC."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Cents(TypeDecorator[Decimal]):
    """An amount of money with two places, kept as whole cents: SQLite has no exact decimal of its own."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """The amount in cents."""
        return None if value is None else int(value.scaleb(2))

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy's signature
        """The amount with its two places."""
        return None if value is None else Decimal(value).scaleb(-2)
