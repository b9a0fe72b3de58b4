"""The operators' commands: `python -m ops --stage STAGE COMMAND`.

It runs alike on every target. Credentials, region and endpoint are the AWS SDK's own (AWS_PROFILE,
AWS_REGION, AWS_ENDPOINT_URL). All else is read from Parameter Store and from the stack.
"""

import os

import click

from ops import acting, customers, finding, logs, looking, queues, trace
from ops.desk import Desk, Operations, Tunnel, tunnel
from reservations.services import Services


@click.group(
    cls=Operations,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--stage", envvar="OPS_STAGE", required=True, help="The deployment: local, prod…")
@click.option(
    "--stack",
    envvar="OPS_STACK",
    show_default="reservations-STAGE",
    help="Its CloudFormation stack.",
)
@click.option(
    "--tunnel",
    envvar="OPS_TUNNEL",
    metavar="HOST:PORT",
    callback=tunnel,
    help="The near end of a port-forward to a private database.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the overview as one JSON object.")
@click.pass_context
def ops(
    ctx: click.Context, stage: str, stack: str | None, tunnel: Tunnel | None, as_json: bool
) -> None:
    """Inspect reservations, and help those that cannot go on alone.

    Without a command, print the state of the deployment and what needs a person.

    No command calls a provider: it records what is due, and the steps do it. Repeating any command
    is harmless.
    """
    if ctx.obj is None:
        own = {"SETTINGS_PATH": f"/reservations/{stage}"}
        variables = {"BUCKET_ADDRESSING": "virtual", **os.environ, **own}
        services = Services(variables, tunnel=tunnel)
        here = "AWS_ENDPOINT_URL" in os.environ
        ctx.obj = Desk(
            services,
            stack=stack or f"reservations-{stage}",
            on_aws=not here,
            log_folder=variables.get("OPS_LOGS"),
        )
    if ctx.invoked_subcommand is None:
        ctx.obj.as_json = as_json
        finding.overview(ctx.obj)


for command in (
    finding.find,
    looking.show,
    looking.watch,
    logs.logs,
    trace.trace,
    looking.timeline,
    looking.list_reservations,
    looking.invariants,
    acting.nudge,
    acting.cancel,
    acting.erase,
    acting.review,
    acting.token,
    customers.mail,
    customers.customer,
    acting.reconcile,
    queues.outbox,
    queues.dlq,
):
    ops.add_command(command)

if __name__ == "__main__":
    ops(prog_name="ops")
