"""Mosquitto's dynamic security, asked over MQTT: https://mosquitto.org/documentation/dynamic-security/"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from gateway.broker.acl import Role
from gateway.broker.address import BrokerAddress
from gateway.broker.link import Incoming, Link, LinkFailed, Outgoing, Refused

REQUESTS = "$CONTROL/dynamic-security/v1"
RESPONSES = f"{REQUESTS}/response"

#: Seconds for an answer: a broker without the plugin never gives one.
_PATIENCE = 5.0
#: Roles and clients listed at once: a device may have some hundred rights.
_PAGE = 50
_SUBSCRIBE, _PUBLISH = "subscribePattern", "publishClientSend"
#: What a command to make or to remove something finds when it was done before.
_DONE_BEFORE = frozenset(
    {"Role already exists", "Role not found", "Client already exists", "Client not found"}
)

Command = dict[str, Any]


class NoControl(Exception):
    """The broker does not do what we say: it has no such plugin, or our account may not use it."""


class Control:
    """Commands to the plugin and its answers; `take` has to be given what comes under RESPONSES."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._numbers = itertools.count(1)
        self._asked: dict[str, asyncio.Future[list[Command]]] = {}

    async def ask(self, *commands: Command) -> list[Command]:
        """Give commands that are carried out in order; gives an answer for each, with ``error`` where one failed.

        Raises:
            NoControl: nobody answers.
            LinkFailed: the connection has ended.
        """
        number = str(next(self._numbers))
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        request = {"commands": [command | {"correlationData": number} for command in commands]}
        try:
            try:
                await self._link.publish([Outgoing(REQUESTS, orjson.dumps(request))])
            except Refused as refusal:
                raise NoControl(str(refusal)) from None
            async with asyncio.timeout(_PATIENCE):
                return await self._link.unless_ended(answer, None)
        except TimeoutError:
            raise NoControl("it does not answer") from None
        finally:
            del self._asked[number]

    async def change(self, *commands: Command) -> None:
        """Give commands that make or remove something; what was done before is no fault.

        Raises:
            NoControl: one failed, or nobody answers.
            LinkFailed: the connection has ended.
        """
        for answer in await self.ask(*commands):
            error = answer.get("error")
            if error is not None and error not in _DONE_BEFORE:
                raise NoControl(f"{answer.get('command')}: {error}")

    async def listen(self) -> None:
        """Take all that comes on a connection that is for nothing else, until it ends."""
        with contextlib.suppress(LinkFailed):
            while True:
                self.take(await self._link.receive())

    def take(self, message: Incoming) -> None:
        """An answer, or something else that is passed over."""
        try:
            answers = orjson.loads(message.payload)["responses"]
            asked = self._asked.get(answers[0].get("correlationData"))
        except (ValueError, LookupError, TypeError, AttributeError):
            return
        if asked is not None and not asked.done():
            asked.set_result(answers)

    async def roles(self, prefix: str) -> dict[str, Role]:
        """The roles whose names begin so, with what they allow."""
        found: dict[str, Role] = {}
        for listed in await self._all("listRoles", "roles", verbose=True):
            if listed["rolename"].startswith(prefix):
                found[listed["rolename"]] = role_of(listed)
        return found

    async def usernames(self) -> set[str]:
        """Everybody who has an account."""
        return set(await self._all("listClients", "clients", verbose=False))

    async def _all(self, command: str, member: str, *, verbose: bool) -> list[Any]:
        found: list[Any] = []
        while True:
            asked = {"command": command, "verbose": verbose, "count": _PAGE, "offset": len(found)}
            (answer,) = await self.ask(asked)
            page = answer.get("data", {}).get(member, [])
            found += page
            if len(page) < _PAGE:
                return found


@contextlib.asynccontextmanager
async def controlling(address: BrokerAddress) -> AsyncIterator[Control]:
    """Control over a connection of its own, beside the one that serves the broker.

    Raises:
        NoControl: our account may not use dynamic security.
        LinkFailed: the broker cannot be reached.
    """
    async with Link(address) as link:
        control = Control(link)
        try:
            await link.subscribe([RESPONSES])
        except Refused as refusal:
            raise NoControl(str(refusal)) from None
        answering = asyncio.create_task(control.listen())
        try:
            yield control
        finally:
            answering.cancel()
            await asyncio.wait({answering})


def create_role(role: Role) -> Command:
    """The command that makes a role."""
    rights = ((_SUBSCRIBE, role.subscribe), (_PUBLISH, role.publish))
    acls = [
        {"acltype": kind, "topic": topic, "allow": True}
        for kind, topics in rights
        for topic in sorted(topics)
    ]
    return {"command": "createRole", "rolename": role.name, "acls": acls}


def role_of(listed: Command) -> Role:
    """A role as the plugin shows it."""

    def allowed(kind: str) -> frozenset[str]:
        acls: Sequence[Command] = listed.get("acls", [])
        return frozenset(acl["topic"] for acl in acls if acl["acltype"] == kind and acl["allow"])

    return Role(listed["rolename"], allowed(_SUBSCRIBE), allowed(_PUBLISH))


def create_client(username: str, password: str, role: Role) -> Command:
    """The command that makes an account with one role."""
    return {
        "command": "createClient", "username": username, "password": password, "roles": [{"rolename": role.name}],
    }  # fmt: skip


def delete_client(username: str) -> Command:
    """The command that removes an account and cuts it off."""
    return {"command": "deleteClient", "username": username}


def delete_role(name: str) -> Command:
    """The command that removes a role."""
    return {"command": "deleteRole", "rolename": name}
