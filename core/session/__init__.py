"""A connected client as one state machine, without a socket: every live door is an encoding of it.

A door opens a `Session` with the credentials it found, hands in commands, lets an Outlet carry the events, and ends
when ``closed`` says so. All that may be refused is refused here.

``session`` is one client: his login, his rate, what he listens to. ``chats`` is the part of him that talks in chats,
and ``marks`` what it writes about messages that reached him. ``sessions`` are all clients of a node, and ``offers``
gives those of them who are agents the chats that wait. ``commands`` is what a client may say, ``answers`` what he is
told.
"""

from core.session.commands import Authenticate, Subscribe, Unsubscribe
from core.session.session import COMMANDS, Session
from core.session.sessions import Sessions

__all__ = ["COMMANDS", "Authenticate", "Session", "Sessions", "Subscribe", "Unsubscribe"]
