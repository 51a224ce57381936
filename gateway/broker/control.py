"""Mosquitto's dynamic security plugin, controlled over MQTT: https://mosquitto.org/documentation/dynamic-security/"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from gateway.broker.acl import BrokerRole
from gateway.broker.address import BrokerAddress
from gateway.broker.link import Incoming, Link, LinkFailed, Outgoing, Refused

REQUESTS = "$CONTROL/dynamic-security/v1"
RESPONSES = f"{REQUESTS}/response"

#: Seconds to wait for a reply: a broker without the plugin never sends one.
_REPLY_TIMEOUT_SECONDS = 5.0
#: Roles and clients listed at once: a device may have some hundred permissions.
_PAGE_ENTRIES = 50
_SUBSCRIBE_ACL, _PUBLISH_ACL, _RECEIVE_ACL = "subscribePattern", "publishClientSend", "publishClientReceive"
#: The errors of a command to create or delete something that was done before.
_HARMLESS_ERRORS = frozenset(
    {"Role already exists", "Role not found", "Client already exists", "Client not found"}
)

Command = dict[str, Any]


class NoControl(Exception):
    """The broker cannot be controlled: it has no such plugin, or our account may not use it."""


class Control:
    """Sends commands to the plugin; `take` must be given the messages that arrive under RESPONSES."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._numbers = itertools.count(1)
        self._asked: dict[str, asyncio.Future[list[Command]]] = {}

    async def ask(self, *commands: Command) -> list[Command]:
        """Send commands, carried out in order; returns a reply to each, with ``error`` where one failed.

        Raises:
            NoControl: there is no reply.
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
            async with asyncio.timeout(_REPLY_TIMEOUT_SECONDS):
                return await self._link.unless_ended(answer, None)
        except TimeoutError:
            raise NoControl("it does not answer") from None
        finally:
            del self._asked[number]

    async def change(self, *commands: Command) -> None:
        """Send commands that create or delete something; that it was done before is no error.

        Raises:
            NoControl: one failed, or there is no reply.
            LinkFailed: the connection has ended.
        """
        for answer in await self.ask(*commands):
            error = answer.get("error")
            if error is not None and error not in _HARMLESS_ERRORS:
                raise NoControl(f"{answer.get('command')}: {error}")

    async def listen(self) -> None:
        """Take every message of a connection that is used for nothing else, until it ends."""
        with contextlib.suppress(LinkFailed):
            while True:
                self.take(await self._link.receive())

    def take(self, message: Incoming) -> None:
        """Take a reply; anything else is ignored."""
        try:
            answers = orjson.loads(message.payload)["responses"]
            asked = self._asked.get(answers[0].get("correlationData"))
        except (ValueError, LookupError, TypeError, AttributeError):
            return
        if asked is not None and not asked.done():
            asked.set_result(answers)

    async def roles(self, prefix: str) -> dict[str, BrokerRole]:
        """The roles whose names begin with a prefix, with what they allow."""
        found: dict[str, BrokerRole] = {}
        for listed in await self._all("listRoles", "roles", verbose=True):
            if listed["rolename"].startswith(prefix):
                found[listed["rolename"]] = role_of(listed)
        return found

    async def usernames(self) -> set[str]:
        """The user names of all accounts."""
        return set(await self._all("listClients", "clients", verbose=False))

    async def _all(self, command: str, member: str, *, verbose: bool) -> list[Any]:
        found: list[Any] = []
        while True:
            asked = {"command": command, "verbose": verbose, "count": _PAGE_ENTRIES, "offset": len(found)}
            (answer,) = await self.ask(asked)
            page = answer.get("data", {}).get(member, [])
            found += page
            if len(page) < _PAGE_ENTRIES:
                return found


@contextlib.asynccontextmanager
async def controlling(address: BrokerAddress) -> AsyncIterator[Control]:
    """A control on a connection of its own, beside the one that serves the broker.

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


def create_role(role: BrokerRole) -> Command:
    """The command that creates a role."""
    rights = (
        (_SUBSCRIBE_ACL, role.subscribe, True),
        (_PUBLISH_ACL, role.publish, True),
        (_RECEIVE_ACL, role.hidden, False),
    )
    acls = [
        {"acltype": kind, "topic": topic, "allow": allow}
        for kind, topics, allow in rights
        for topic in sorted(topics)
    ]
    return {"command": "createRole", "rolename": role.name, "acls": acls}


def role_of(listed: Command) -> BrokerRole:
    """Reads a role from the plugin's reply."""

    def topics(kind: str, *, allow: bool) -> frozenset[str]:
        acls: Sequence[Command] = listed.get("acls", [])
        return frozenset(acl["topic"] for acl in acls if acl["acltype"] == kind and acl["allow"] is allow)

    return BrokerRole(
        listed["rolename"],
        subscribe=topics(_SUBSCRIBE_ACL, allow=True),
        publish=topics(_PUBLISH_ACL, allow=True),
        hidden=topics(_RECEIVE_ACL, allow=False),
    )


def create_client(username: str, password: str, role: BrokerRole) -> Command:
    """The command that creates an account with one role."""
    return {
        "command": "createClient", "username": username, "password": password, "roles": [{"rolename": role.name}],
    }  # fmt: skip


def delete_client(username: str) -> Command:
    """The command that deletes an account and disconnects its clients."""
    return {"command": "deleteClient", "username": username}


def delete_role(name: str) -> Command:
    """The command that deletes a role."""
    return {"command": "deleteRole", "rolename": name}
