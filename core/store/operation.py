"""How an operation is declared: once, with all that doors, documents and the pipeline need to know of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from core.kernel.caller import Caller, Scope
from core.kernel.errors import ErrorCode, Forbidden
from core.kernel.model import Params
from core.store.context import Context

#: What else it takes to write what tells of a person: the answer shows it, and so is for who may read it.
_READ_SCOPES = {Scope.WRITE_USER: Scope.READ_USER, Scope.WRITE_ORDERS: Scope.READ_ORDERS}

P = TypeVar("P", bound=Params)
B = TypeVar("B")
V = TypeVar("V")


@dataclass(frozen=True)
class Operation(Generic[P, B, V]):
    """One thing the store can do.

    ``name`` is camelCase and unique. ``body`` is the model of the body, or None; with ``patch`` the body is a JSON
    merge patch (RFC 7396) of it and the handler gets a ``MergePatch``. ``result`` is the model of the answer, or
    None when there is nothing to say. ``scope`` is the right needed: whoever lacks it is refused; ``scopes`` are those
    that come with it as well. ``anonymous``: visitors may call it, then these bind known callers only. ``staff``: of
    those who hold the scope only STAFF may call it. ``in_person``: no API key and no OAuth client may call it, whatever
    its scopes. ``classic``: it is a rule of the classic Petstore API, for the door of that alone; a setting of the
    store opens all of these to everybody. ``writes``: it runs in a transaction that commits, to its end though the
    client has left. ``idempotent``: it takes an idempotency key.
    ``prepare`` does slow work before the transaction begins; the handler finds its result in ``ctx.prepared``.
    ``finish`` does what follows the transaction, with transactions of its own (``commit``): it gets the handler's
    result and gives the final one. For a replay it gets the result that was kept last, and ``ctx.replays`` is set.
    ``errors`` are those that only this kind of operation has, beyond those that every operation may answer.
    """

    name: str
    tag: str
    summary: str
    params: type[P]
    handler: Callable[[Context, P, B], Awaitable[V]]
    result: Any = None
    body: type[BaseModel] | None = None
    patch: bool = False
    scope: Scope | None = None
    anonymous: bool = False
    staff: bool = False
    in_person: bool = False
    classic: bool = False
    writes: bool = False
    creates: bool = False
    idempotent: bool = False
    prepare: Callable[[Context, P, B], Awaitable[object]] | None = None
    finish: Callable[[Context, P, B, V], Awaitable[V]] | None = None
    errors: frozenset[ErrorCode] = frozenset()
    description: str = ""
    body_example: Mapping[str, Any] | None = None
    result_example: Any = field(default=None, hash=False)

    def __hash__(self) -> int:
        return hash(self.name)

    @cached_property
    def scopes(self) -> tuple[Scope, ...]:
        """All the rights needed: to write, and to read what the answer shows of a person."""
        if self.scope is None:
            return ()
        read = None if self.result is None else _READ_SCOPES.get(self.scope)
        return (self.scope,) if read is None else (self.scope, read)

    @cached_property
    def body_required(self) -> bool:
        """Whether a call must bring a body: it may be left out where an empty object would do."""
        if self.body is None or self.patch:
            return self.patch
        try:
            self.body.model_validate({})
        except ValidationError:
            return True
        return False

    def authorise(self, caller: Caller) -> None:
        """Pass when the caller may ask for this at all; whose resource it is, the handler looks at.

        Raises:
            Unauthorized: a visitor may not.
            Forbidden: a known caller lacks the scope, or is not STAFF or not a person where that is needed.
        """
        if self.scope is None and not self.anonymous:
            caller.require_known()
        if not (self.anonymous and caller.is_visitor):
            for scope in self.scopes:
                caller.require(scope)
        if self.staff and not caller.is_staff:
            raise Forbidden("This is for the store's STAFF.")
        if self.in_person and caller.is_program:
            raise Forbidden("Neither an API key nor an OAuth client may do this; log in.")


#: An operation of whatever types.
AnyOperation = Operation[Any, Any, Any]
