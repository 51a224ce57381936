"""The command line `petstore`. Each command imports what it needs when it runs, so that help appears at once.

``serve``   `petstore serve`
``announcement``  what it prints at its start
``data``    `petstore migrate` and `petstore seed`
``watch``   `petstore watch`
``event_sources``  where it gets events from, over HTTP or gRPC
``listen``  `petstore listen`
``mcp``     `petstore mcp`
``token``   `petstore token`
``login``   `petstore login` and `petstore logout`
``logins``  what they keep
``doctor``  `petstore doctor`
``broker``  `petstore broker-account`
``client``  what the commands share that talk to a server
"""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from gateway.startup_errors import BadSettings, CannotStart

app = typer.Typer(
    name="petstore",
    help="One pet store behind every protocol: one event log, many doors.",
    no_args_is_help=True,
    # Plain help and plain errors: in a log they are one line each.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_URL_OPTION = typer.Option(
    "--url",
    envvar="PETSTORE_URL",
    help="The server.",
    metavar="URL",
    show_default="the one that this machine's settings serve",
)
_TENANT_OPTION = typer.Option(envvar="PETSTORE_TENANT", help="A tenant of your own: a UUID.", metavar="UUID")


def main() -> None:
    """Run the command line. An error that prevents the start is printed in one line, with exit status 1."""
    # The database, the images and the secret are readable by the account that serves them only.
    os.umask(0o077)
    try:
        app()
    except (BadSettings, CannotStart) as error:
        sys.exit(f"petstore: {error}")
    except BrokenPipeError:
        # The reader of our output has gone (petstore watch | head).
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"petstore {version('petstore-gateway')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


class _ServeCommand(TyperCommand):
    """Its help ends with every setting, read from the settings themselves."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as Typer calls it
        """Write the settings, their meanings and defaults."""
        from gateway.settings import PREFIX, Settings

        with formatter.section("Settings, from the environment or from a .env file"):
            formatter.write_dl(
                [
                    (
                        f"{PREFIX}{name.upper()}",
                        f"{field.description}"
                        + (
                            "" if field.default in (None, ()) else f" [default: {str(field.default).lower()}]"
                        ),
                    )
                    for name, field in Settings.model_fields.items()
                ]
            )


@app.command(cls=_ServeCommand)
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (PETSTORE_HOST).", metavar="ADDRESS")
    ] = None,
    port: Annotated[int | None, typer.Option(help="HTTP port; 0 takes any free one (PETSTORE_PORT).")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the ports (PETSTORE_WORKERS).")
    ] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo", help="Seed the shared pool, make demo accounts (PETSTORE_DEMO).")
    ] = None,
) -> None:
    """Serve the store until Ctrl-C or SIGTERM."""
    from gateway.cli.serve import run

    run(host=host, port=port, workers=workers, demo=demo)


@app.command()
def migrate() -> None:
    """Bring the database's tables up to date."""
    from gateway.cli.data import run_migrate

    run_migrate()


@app.command()
def seed(tenant: Annotated[str | None, _TENANT_OPTION] = None) -> None:
    """Fill the shared pool, or a tenant, with demo data, once."""
    from gateway.cli.data import run_seed

    run_seed(tenant)


@app.command()
def watch(
    topics: Annotated[
        list[str], typer.Argument(help="Topic filters: pets/#, orders/+/status.", metavar="TOPIC")
    ],
    url: Annotated[str | None, _URL_OPTION] = None,
    token: Annotated[str | None, typer.Option(envvar="PETSTORE_TOKEN", help="An access token.")] = None,
    tenant: Annotated[str | None, _TENANT_OPTION] = None,
    cursor: Annotated[str | None, typer.Option(help="Where to begin: a cursor, or earliest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole events, one line each.")] = False,
) -> None:
    """Show events live, from any server; after a lost connection it resumes where it was.

    The server's URL is http:// or https:// for Server-Sent Events, grpc:// or grpcs:// for gRPC. Over HTTP, without a
    token, it uses the login of petstore login, if there is one.
    """
    from gateway.cli.client import server_url
    from gateway.cli.watch import run

    run(server_url(url), ",".join(topics), token=token, tenant=tenant, cursor=cursor, as_json=as_json)


@app.command()
def listen(
    topics: Annotated[
        list[str], typer.Argument(help="Topic filters: pets/#, orders/+/status.", metavar="TOPIC")
    ],
    forward_to: Annotated[str, typer.Option(help="Where events are posted to.", metavar="URL")],
    url: Annotated[str | None, _URL_OPTION] = None,
    token: Annotated[str | None, typer.Option(envvar="PETSTORE_TOKEN", help="An access token.")] = None,
    tenant: Annotated[str | None, _TENANT_OPTION] = None,
    cursor: Annotated[str | None, typer.Option(help="Where to begin: a cursor, or earliest.")] = None,
    secret: Annotated[
        str | None,
        typer.Option(help="What signs, whsec_ and base64.", show_default="a new one, which is printed"),
    ] = None,
) -> None:
    """Post events to a server on this machine, signed as a webhook's are: no public address is needed.

    After a lost connection it resumes where it was, and events wait while the server that they are for is away.
    """
    from gateway.cli.client import server_url
    from gateway.cli.listen import run

    run(
        server_url(url),
        ",".join(topics),
        forward_to,
        token=token,
        tenant=tenant,
        cursor=cursor,
        secret=secret,
    )


@app.command()
def mcp(
    url: Annotated[str | None, _URL_OPTION] = None,
    token: Annotated[str | None, typer.Option(envvar="PETSTORE_TOKEN", help="An access token.")] = None,
    tenant: Annotated[str | None, _TENANT_OPTION] = None,
) -> None:
    """Talk MCP on standard input and output, for assistants that start a program: messages go to a server's /mcp.

    Without a token it uses the login of petstore login, if there is one.
    """
    from gateway.cli.client import server_url
    from gateway.cli.mcp import run

    run(server_url(url), token=token, tenant=tenant)


@app.command()
def token(
    username: Annotated[
        str | None,
        typer.Argument(help="Who logs in with a password.", show_default="the login of petstore login"),
    ] = None,
    url: Annotated[str | None, _URL_OPTION] = None,
    tenant: Annotated[str | None, _TENANT_OPTION] = None,
) -> None:
    """Print only an access token: of the login of petstore login, or of a user who logs in with a password.

    The password comes from PETSTORE_PASSWORD, from standard input, or is asked for.
    """
    from gateway.cli.client import server_url
    from gateway.cli.token import run

    run(server_url(url), username, tenant)


@app.command()
def login(
    url: Annotated[str | None, _URL_OPTION] = None,
    tenant: Annotated[str | None, _TENANT_OPTION] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            help="What to ask for: read:orders …", metavar="SCOPES", show_default="all that you may"
        ),
    ] = None,
    browser: Annotated[
        bool | None, typer.Option(help="Open a browser here, or do not.", show_default="asks")
    ] = None,
) -> None:
    """Log in with a browser, on this machine or any other, and keep the login for petstore token and petstore watch.

    It is kept in your configuration folder, readable by you alone.
    """
    from gateway.cli.client import server_url
    from gateway.cli.login import run_login

    run_login(server_url(url), tenant, scope=scope, browser=browser)


@app.command()
def logout(
    url: Annotated[str | None, _URL_OPTION] = None, tenant: Annotated[str | None, _TENANT_OPTION] = None
) -> None:
    """End the login of petstore login, with all its tokens."""
    from gateway.cli.client import server_url
    from gateway.cli.login import run_logout

    run_logout(server_url(url), tenant)


@app.command("broker-account")
def broker_account(
    name: Annotated[str, typer.Argument(help="The account's user name.")],
    tenant: Annotated[str | None, _TENANT_OPTION] = None,
) -> None:
    """Create an account at the MQTT broker that may subscribe to every event of a tenant; prints its name and
    password.

    Run again, it gives the account a new password.
    """
    from gateway.cli.broker import run

    run(name, tenant)


@app.command()
def doctor() -> None:
    """Check the settings and every server they name, and say how to fix what is wrong."""
    from gateway.cli.doctor import run

    run()
