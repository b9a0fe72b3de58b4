"""Serve the console on this machine until Ctrl-C: `python -m ops.console --stage STAGE`."""

import sys

import click
from werkzeug.serving import make_server

from ops.__main__ import ops
from ops.console.guard import Guard
from ops.console.pages import Backstage, Console, Quiet, make_app
from ops.desk import Desk


def serve(desk: Desk, *, role: str, port: int, backstage: Backstage | None = None) -> None:
    """Print the address with its token, which works once, and serve until Ctrl-C."""
    guard = Guard()
    app = make_app(Console(desk, role, backstage), guard)
    # One request at a time: the commands share one connection to the database.
    server = make_server("127.0.0.1", port, app, request_handler=Quiet)
    click.echo(f"http://127.0.0.1:{server.server_port}/?token={guard.token}")
    click.echo("The address works once, in one browser. Ctrl-C ends the console.")
    sys.stdout.flush()
    server.serve_forever()


@ops.command
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="By default a free one.")
@click.option("--as", "role", envvar="OPS_ROLE", default="on-call", show_default=True)
@click.pass_obj
def console(desk: Desk, port: int, role: str) -> None:
    """Serve the console for a deployment in AWS."""
    serve(desk, role=role, port=port)


if __name__ == "__main__":
    ops([*sys.argv[1:], "console"], prog_name="ops")
