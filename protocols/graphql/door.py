"""What the two sides of the door, HTTP and WebSocket, have in common."""

from core.kernel.limits import Limits
from core.live.sessions import Sessions
from protocols.graphql.execution import Engine
from protocols.graphql.schema import executable_schema
from protocols.graphql.shared_executions import SharedExecutions


class Door:
    """The schema ready to be executed, and the documents that clients of this node follow."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self.sessions = sessions
        self.store = sessions.store
        self.limits = limits
        self.engine = Engine(executable_schema())
        self.shared_executions = SharedExecutions(sessions.store)
