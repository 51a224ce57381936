"""What a store is put together from: its adapters, and what its operations share."""

import asyncio
from dataclasses import dataclass

from core.auth.attempts import Attempts
from core.auth.authentication import Authenticator
from core.auth.passwords import Passwords
from core.auth.revocations import Revocations
from core.hub import Hub
from core.kernel.addresses import network_of
from core.kernel.clock import Clock, utc_now
from core.kernel.cursor import Cursor
from core.kernel.errors import Unavailable
from core.kernel.ids import TenantId
from core.kernel.limits import Limits
from core.kernel.turns import FairTurns, Slices, TooManyWait
from core.kernel.validation import PHONE_CHECK, PUBLIC_URL
from core.ports.coordination import RateLimiter
from core.ports.images import ImageDecoder, ImageStore
from core.ports.language_model import LanguageModel
from core.ports.payments import PaymentProcessor
from core.ports.phones import PhoneNumbers
from core.ports.security import PasswordHasher, TokenSigner, TrustedIssuers
from core.ports.storage import Storage
from core.ports.webhooks import WebhookSender
from core.store.activity import Activity
from core.store.agents import ConnectedAgents
from core.store.model_turns import ModelTurns
from core.store.read_cache import ReadCache

#: Who may wait for a turn at long work, of all and of one network: as many as may be connected.
_MAX_WAITING = 2_000
_MAX_WAITING_OF_NETWORK = 400


@dataclass(frozen=True, slots=True)
class Adapters:
    """The implementations of the ports that operations need."""

    storage: Storage
    limiter: RateLimiter
    hasher: PasswordHasher
    signer: TokenSigner
    images: ImageStore
    decoder: ImageDecoder
    processor: PaymentProcessor
    phones: PhoneNumbers
    webhooks: WebhookSender
    issuers: TrustedIssuers | None = None
    language_model: LanguageModel | None = None


class StoreParts:
    """The parts of a store, which every running operation may use.

    ``epoch`` is that of the event log. ``public_url`` is what addresses in resources are under: scheme, host and port,
    without a slash at the end. ``classic_open``: operations of the classic API are for everybody.
    ``advised_chats``: the advisor answers in chats that wait.
    """

    def __init__(
        self,
        adapters: Adapters,
        hub: Hub,
        *,
        epoch: int,
        public_url: str,
        limits: Limits | None = None,
        clock: Clock = utc_now,
        classic_open: bool = False,
        advised_chats: bool = False,
    ) -> None:
        self.storage = adapters.storage
        self.limiter = adapters.limiter
        self.hasher = adapters.hasher
        self.signer = adapters.signer
        self.images = adapters.images
        self.decoder = adapters.decoder
        self.processor = adapters.processor
        self.webhooks = adapters.webhooks
        self.language_model = adapters.language_model
        self.model_turns = ModelTurns()
        self.hub = hub
        self.epoch = epoch
        self.public_url = public_url
        self.context = {PHONE_CHECK: adapters.phones.is_possible, PUBLIC_URL: public_url}
        self.limits = limits or Limits()
        self.classic_open = classic_open
        self.advised_chats = advised_chats
        self.clock = clock
        self.slices = Slices()
        self._long_work = FairTurns(1, most=_MAX_WAITING, most_of_one=_MAX_WAITING_OF_NETWORK)
        self.agents = ConnectedAgents(hub.peers.tell_agents)
        self.cache = ReadCache(adapters.storage)
        self.activity = Activity(self.limits, clock)
        self.revocations = Revocations(adapters.storage, clock)
        self.attempts = Attempts(adapters.limiter, self.limits)
        self.passwords = Passwords(adapters.storage, adapters.hasher, adapters.limiter, self.attempts)
        self.authenticator = Authenticator(
            adapters.storage,
            adapters.signer,
            self.revocations,
            self.passwords,
            clock,
            self.activity.see,
            adapters.issuers,
        )

    async def cursor_before_reading(self, tenant: TenantId) -> str:
        """A cursor for what is read from now on: whatever happens that the reader does not see, happens behind it."""
        head = self.cache.head(tenant)
        if head is None:
            return await self.hub.cursor_now(tenant)
        return Cursor(self.epoch, tenant, head).encode()

    async def begin_long_work(self, address: str) -> None:
        """Wait until what holds the loop for milliseconds may begin: one piece in each turn of the loop, a network's
        after another's.

        What follows in the same step of the caller is the piece; many at once would hold the loop together.

        Raises:
            Unavailable: too many wait already.
        """
        try:
            async with self._long_work.turn(network_of(address)):
                await asyncio.sleep(0)
        except TooManyWait:
            raise Unavailable("Too much work at once.") from None
