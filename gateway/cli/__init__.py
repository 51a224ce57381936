"""The command line `petstore`. Each command imports what it needs when it runs, so that help appears at once.

``serve``   `petstore serve`
``data``    `petstore migrate` and `petstore seed`
``watch``   `petstore watch`
``token``   `petstore token`
``doctor``  `petstore doctor`
``broker``  `petstore broker-account`
``client``  what the commands share that talk to a server
"""

import os
import sys
from typing import Annotated

import typer

from gateway.startup_errors import BadSettings, CannotStart

app = typer.Typer(
    name="petstore",
    help="One pet store behind every protocol: one event log, many doors.",
    no_args_is_help=True,
    add_completion=False,
    # Plain help and plain errors: in a log they are one line each.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_URL_OPTION = typer.Option(envvar="PETSTORE_URL", help="The server.", metavar="URL")
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


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", metavar="ADDRESS")] = None,
    port: Annotated[int | None, typer.Option(help="HTTP port; 0 takes any free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the port.")] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo", help="Seed the shared pool, make demo accounts.")
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
        list[str], typer.Argument(help="Topic filters: pets/#, orders/+/status.", metavar="TOPICS…")
    ],
    url: Annotated[str, _URL_OPTION] = "http://127.0.0.1:8080",
    token: Annotated[str | None, typer.Option(envvar="PETSTORE_TOKEN", help="An access token.")] = None,
    tenant: Annotated[str | None, _TENANT_OPTION] = None,
    cursor: Annotated[str | None, typer.Option(help="Where to begin: a cursor, or earliest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole events, one line each.")] = False,
) -> None:
    """Show events live, from any server; after a lost connection it resumes where it was."""
    from gateway.cli.watch import run

    run(url, ",".join(topics), token=token, tenant=tenant, cursor=cursor, as_json=as_json)


@app.command()
def token(
    username: Annotated[str, typer.Argument(help="Who logs in.")],
    url: Annotated[str, _URL_OPTION] = "http://127.0.0.1:8080",
    tenant: Annotated[str | None, _TENANT_OPTION] = None,
) -> None:
    """Log in, and print only the access token.

    The password comes from PETSTORE_PASSWORD, from standard input, or is asked for.
    """
    from gateway.cli.token import run

    run(url, username, tenant)


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
