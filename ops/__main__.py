"""The operators' commands: `python -m ops --stage STAGE COMMAND`.

It runs alike on every target. Credentials, region and endpoint are the AWS SDK's own (AWS_PROFILE,
AWS_REGION, AWS_ENDPOINT_URL). All else is read from Parameter Store and from the stack.
"""

import os

import click

from ops import acting, looking, queues
from ops.desk import Desk, Operations
from reservations.services import Services


@click.group(cls=Operations, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stage", envvar="OPS_STAGE", required=True, help="The deployment: local, prod…")
@click.option(
    "--stack",
    envvar="OPS_STACK",
    show_default="reservations-STAGE",
    help="Its CloudFormation stack.",
)
@click.pass_context
def ops(ctx: click.Context, stage: str, stack: str | None) -> None:
    """Inspect reservations, and help those that cannot go on alone.

    No command calls a provider: it records what is due, and the steps do it. Repeating any command
    is harmless.
    """
    if ctx.obj is None:
        own = {"SETTINGS_PATH": f"/reservations/{stage}"}
        services = Services({"BUCKET_ADDRESSING": "virtual", **os.environ, **own})
        ctx.obj = Desk(services, stack=stack or f"reservations-{stage}")


for command in (
    looking.show,
    looking.timeline,
    looking.list_reservations,
    looking.invariants,
    acting.nudge,
    acting.cancel,
    acting.erase,
    acting.review,
    acting.token,
    acting.reconcile,
    queues.outbox,
    queues.dlq,
):
    ops.add_command(command)

if __name__ == "__main__":
    ops(prog_name="ops")
