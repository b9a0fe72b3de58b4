"""Checks of the account: stack, concurrency, log role, settings, mail, alarms, origin."""

from collections.abc import Iterator

from botocore.exceptions import ClientError
from pydantic import SecretStr

from local.template import template
from tools.documents import sources
from tools.preflight.stage import Finding, Notice, Problem, Stage

FREE = 100  # AWS refuses a reservation that leaves fewer unreserved
SMALLEST = 10  # concurrent executions of a new account
_NAMES_PER_REQUEST = 10
_MORE_PLACES = (
    "aws service-quotas request-service-quota-increase --service-code lambda"
    " --quota-code L-B99A9384 --desired-value 1000"
)


def check_stack(stage: Stage) -> Iterator[Finding]:
    """A stack that no deployment can update."""
    stack = f"--stack-name {stage.stack} --region {stage.region}"
    if stage.status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
        fix = f"aws cloudformation delete-stack {stack}"
    elif stage.status == "UPDATE_ROLLBACK_FAILED":
        fix = f"aws cloudformation continue-update-rollback {stack}"
    elif stage.status.endswith("_IN_PROGRESS"):
        fix = f"aws cloudformation wait stack-update-complete {stack}"
    else:
        return
    yield Problem(f"The stack {stage.stack} is {stage.status}.", fix)


def check_parameters(stage: Stage) -> Iterator[Finding]:
    """Parameters of the template that only the stage can know."""
    for name in stage.unset:
        values = template()["Parameters"][name].get("AllowedValues")
        yield Problem(
            f"{name} is missing in {stage.file.name}.",
            f"# One of {', '.join(values)}:\n{stage.edit(f'{name}: {values[-1]}')}"
            if values
            else f"echo \"{name}: '$(openssl rand -hex 20)'\" >> {stage.file.name}",
        )


def check_concurrency(stage: Stage) -> Iterator[Finding]:
    """Places of the account against those that the template reserves."""
    functions = stage.clients("lambda")
    unreserved = functions.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    own = sum(
        functions.get_function_concurrency(FunctionName=physical).get(
            "ReservedConcurrentExecutions", 0
        )
        for name, physical in stage.deployed.items()
        if name.endswith("Function")
    )
    needed = stage.reserved
    least = needed + FREE if needed else SMALLEST
    if unreserved + own >= least:
        return
    fix = _MORE_PLACES + f" --region {stage.region}"
    if needed:
        fix += f"\n# Or, for a stage without travelers: {stage.edit('Size: small')}"
    yield Problem(
        f"Lambda has {unreserved + own} concurrent executions free. Size {stage.value('Size')}"
        f" reserves {needed}, and {least - needed} must stay free.",
        fix,
    )


def check_log_role(stage: Stage) -> Iterator[Finding]:
    """The account's role for access logs, without which the stage of the API fails."""
    if stage.value("AccessLog") != "true":
        return
    if not stage.clients("apigateway").get_account().get("cloudwatchRoleArn"):
        yield Problem(
            f"API Gateway has no role for CloudWatch Logs in {stage.region}, and AccessLog is true.",
            "# ROLE_ARN is a role that API Gateway may assume, with the managed policy"
            " AmazonAPIGatewayPushToCloudWatchLogs.\n"
            "aws apigateway update-account --patch-operations"
            f" op=replace,path=/cloudwatchRoleArn,value=ROLE_ARN --region {stage.region}",
        )


def secret_settings() -> set[str]:
    """Settings that must be stored encrypted."""
    return {
        model.parameter(name).replace("_", "-")
        for model in sources()
        for name, field in model.model_fields.items()
        if field.annotation is SecretStr or field.json_schema_extra
    }


def check_settings(stage: Stage) -> Iterator[Finding]:
    """Parameters of the stage in Parameter Store, by name and type. No secret is decrypted."""
    prefix = f"/reservations/{stage.name}/"
    found = _types(stage, [prefix + name for name in stage.settings])
    for name in sorted(stage.settings):
        kind = "SecureString" if name in secret_settings() else "String"
        put = (
            f'printf %s "$VALUE" | aws ssm put-parameter --region {stage.region} --type {kind}'
            f" --name {prefix}{name} --value file:///dev/stdin"
        )
        if (stored := found.get(prefix + name)) is None:
            yield Problem(f"The parameter {prefix}{name} is missing.", put)
        elif kind == "SecureString" != stored:
            delete = f"aws ssm delete-parameter --region {stage.region} --name {prefix}{name}"
            yield Problem(f"The parameter {prefix}{name} is a {stored}.", f"{delete}\n{put}")
    yield from _stale_address(stage, f"{prefix}database-url")


def _stale_address(stage: Stage, name: str) -> Iterator[Finding]:
    """A password's address stops the template from writing its own."""
    if not stage.value("DatabaseResourceId") or "DatabaseUrl" in stage.deployed:
        return
    if _types(stage, [name]):
        yield Problem(
            f"The parameter {name} exists, and the template writes it for IAM tokens.",
            f"aws ssm delete-parameter --region {stage.region} --name {name}",
        )


def _types(stage: Stage, names: list[str]) -> dict[str, str]:
    store = stage.clients("ssm")
    return {
        found["Name"]: found["Type"]
        for begin in range(0, len(names), _NAMES_PER_REQUEST)
        for found in store.get_parameters(Names=names[begin : begin + _NAMES_PER_REQUEST])[
            "Parameters"
        ]
    }


def check_mail(stage: Stage) -> Iterator[Finding]:
    """The sender's identity at SES, and the account's sandbox."""
    mail = stage.clients("sesv2")
    account = mail.get_account()
    details = f"--region {stage.region} --mail-type TRANSACTIONAL --website-url URL"
    request = f"aws sesv2 put-account-details --production-access-enabled {details}"
    if not account.get("SendingEnabled"):
        look = f"aws sesv2 get-account --region {stage.region} --query Details.ReviewDetails"
        resume = (
            f"aws sesv2 put-account-sending-attributes --region {stage.region} --sending-enabled"
        )
        yield Problem(
            "SES has stopped this account's sending.",
            f"{look}\n# Only AWS can resume it: answer its case in AWS Support."
            if account.get("EnforcementStatus") == "SHUTDOWN"
            else resume,
        )
    if not account.get("ProductionAccessEnabled"):
        text = "SES is in its sandbox: mails reach verified addresses only."
        yield Problem(text, request) if stage.name == "prod" else Notice(text)
    if sender := _sender(stage):
        yield from _identity(stage, sender)


def _sender(stage: Stage) -> str:
    name = f"/reservations/{stage.name}/mail-sender"
    found = stage.clients("ssm").get_parameters(Names=[name])["Parameters"]
    return str(found[0]["Value"]).strip() if found else ""


def _identity(stage: Stage, sender: str) -> Iterator[Finding]:
    domain = sender.partition("@")[2].lower()
    if (only := stage.value("MailSenderDomain")) and domain != only.lower():
        yield Problem(
            f"mail-sender is of {domain}, and MailSenderDomain allows {only} only.",
            stage.edit(f"MailSenderDomain: {domain}"),
        )
    registered = stage.value("MailDomain").lower()
    if registered and not stage.deployed and f".{domain}".endswith(f".{registered}"):
        yield Notice(f"This deployment registers {registered}: publish its MailDkimRecords then.")
        return
    labels = domain.split(".")
    parents = [".".join(labels[at:]) for at in range(max(len(labels) - 1, 1))]
    if not any(_verified(stage, each) for each in (sender, *parents)):
        yield Problem(
            f"SES has not verified {domain}.",
            f"aws sesv2 create-email-identity --region {stage.region} --email-identity {domain}"
            "\n# Then publish the three CNAME records of the answer.",
        )


def _verified(stage: Stage, identity: str) -> bool:
    try:
        found = stage.clients("sesv2").get_email_identity(EmailIdentity=identity)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NotFoundException":
            return False
        raise
    return bool(found.get("VerifiedForSendingStatus"))


def check_alarms(stage: Stage) -> Iterator[Finding]:
    """A person behind the alarms: an address at first, a confirmed subscription afterwards."""
    topic = stage.deployed.get("AlarmTopic")
    email = stage.value("AlarmEmail")
    pages = stage.clients("sns").get_paginator("list_subscriptions_by_topic")
    found = (
        [each for page in pages.paginate(TopicArn=topic) for each in page["Subscriptions"]]
        if topic
        else []
    )
    if any(each["SubscriptionArn"].startswith("arn:") for each in found):
        return
    # SNS deletes an unconfirmed subscription after two days, and CloudFormation does not notice.
    if found or (email and "AlarmSubscription" in stage.deployed):
        last = {"Endpoint": email, "Protocol": "email"} if email else found[0]
        yield Problem(
            "Nobody has confirmed a subscription to the alarms.",
            f"# Open the mail to {last['Endpoint']} and confirm. To send it again:\n"
            f"aws sns subscribe --region {stage.region} --topic-arn {topic} --protocol {last['Protocol']}"
            f" --notification-endpoint {last['Endpoint']}",
        )
    elif not email:
        yield Problem("Alarms reach nobody.", stage.edit("AlarmEmail: oncall@YOUR.DOMAIN"))


def check_origin(stage: Stage) -> Iterator[Finding]:
    """The web frontend's origin, which no default can know."""
    default = template()["Parameters"]["AllowedOrigin"]["Default"]
    if stage.value("AllowedOrigin") == default:
        yield Problem(
            f"AllowedOrigin is {default}, so no browser may call the API.",
            stage.edit("AllowedOrigin: https://YOUR.FRONTEND"),
        )
