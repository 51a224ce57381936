"""``petstore serve``."""

import asyncio
import logging
from collections.abc import Coroutine

import uvloop

from gateway.cli.announcement import announce
from gateway.data_directory import held
from gateway.observability.logs import configure_logs
from gateway.preflight import prepare
from gateway.serving import bind, serve
from gateway.settings import load_settings, misspelt_variables

log = logging.getLogger(__name__)


def run(*, host: str | None, port: int | None, workers: int | None, demo: bool | None) -> None:
    """Serve; options of the command line take precedence over the environment."""
    settings = load_settings(host=host, port=port, workers=workers, demo=demo or None)
    access = configure_logs(settings.log_level, settings.log_format)
    for complaint in misspelt_variables():
        log.warning("%s", complaint)
    ports = bind(settings)
    with held(settings):
        on_loop(prepare(settings))
        if settings.workers > 1:
            from gateway.workers import supervise

            asyncio.run(supervise(settings, ports, lambda: announce(settings, ports)))
        else:
            on_loop(serve(settings, ports, access, lambda: announce(settings, ports)))


def on_loop(work: Coroutine[object, object, None]) -> None:
    """Run on the event loop that servers run on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
