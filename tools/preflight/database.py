"""Checks of the database from outside: proxy, parameter group. Only the migration sees it from inside."""

from collections.abc import Callable, Iterator
from typing import Any

from tools.preflight.stage import Finding, Notice, Problem, Stage

CONNECTIONS = {"middle": 200, "large": 700}  # docs/08-performance.md, section 4
_BORROW_SECONDS = 4  # the API waits for five
_IDLE_SECONDS = 120  # as wait_timeout: an open transaction holds its locks so long

_WANTED: dict[str, tuple[str, Callable[[str], bool]]] = {
    "transaction_isolation": ("READ-COMMITTED", lambda value: value == "READ-COMMITTED"),
    "time_zone": ("UTC", lambda value: value.upper() in {"UTC", "ETC/UTC", "+00:00"}),
    "sql_mode": ("STRICT_TRANS_TABLES", lambda value: "STRICT_TRANS_TABLES" in value),
    "innodb_lock_wait_timeout": ("2", lambda value: value.isdigit() and int(value) <= 2),
    "wait_timeout": ("120", lambda value: value.isdigit() and 60 <= int(value) <= 120),
}


def check_database(stage: Stage) -> Iterator[Finding]:
    """Proxy, IAM sign-in and parameter group of the database that takes IAM tokens."""
    yield Notice(
        "The database is private: the migration checks it from inside, first of all, at the deployment."
    )
    resource = stage.value("DatabaseResourceId")
    if not resource:
        yield Notice("With a password, preflight does not know the database's parameter group.")
    elif resource.startswith("prx-"):
        yield from _proxy(stage, resource)
    elif resource.startswith("cluster-"):
        pages = stage.clients("rds").describe_db_clusters()["DBClusters"]
        found = [each for each in pages if each.get("DbClusterResourceId") == resource]
        yield from _direct(stage, resource, found, _cluster)
    else:
        pages = stage.clients("rds").describe_db_instances()["DBInstances"]
        found = [each for each in pages if each.get("DbiResourceId") == resource]
        yield from _direct(stage, resource, found, _instance)


def _direct(
    stage: Stage, resource: str, found: list[Any], check: Callable[..., Iterator[Finding]]
) -> Iterator[Finding]:
    if not found:
        yield _unknown(stage, resource, "db-instances")
        return
    if not found[0].get("IAMDatabaseAuthenticationEnabled"):
        kind = "cluster" if resource.startswith("cluster-") else "instance"
        name = found[0].get("DBClusterIdentifier") or found[0].get("DBInstanceIdentifier")
        yield Problem(
            f"{name} takes no IAM tokens.",
            f"aws rds modify-db-{kind} --region {stage.region} --db-{kind}-identifier {name}"
            " --enable-iam-database-authentication --apply-immediately",
        )
    yield from check(stage, found[0])


def _unknown(stage: Stage, resource: str, listing: str) -> Problem:
    return Problem(
        f"DatabaseResourceId {resource} does not exist in {stage.region}.",
        f"aws rds describe-{listing} --region {stage.region}\n"
        + stage.edit("DatabaseResourceId: RESOURCE"),
    )


def _proxy(stage: Stage, resource: str) -> Iterator[Finding]:
    databases = stage.clients("rds")
    proxies = databases.describe_db_proxies()["DBProxies"]
    found = [each for each in proxies if each["DBProxyArn"].endswith(resource)]
    if not found:
        yield _unknown(stage, resource, "db-proxies")
        return
    [proxy] = found
    name = proxy["DBProxyName"]
    modify = f"aws rds modify-db-proxy --region {stage.region} --db-proxy-name {name}"
    endpoint = stage.value("DatabaseEndpoint").partition(":")[0]
    if proxy["Endpoint"] != endpoint:
        yield Problem(
            f"DatabaseEndpoint is {endpoint}, and the proxy's is {proxy['Endpoint']}.",
            stage.edit(f"DatabaseEndpoint: {proxy['Endpoint']}"),
        )
    if any(each.get("IAMAuth") != "REQUIRED" for each in proxy.get("Auth", [])):
        yield Problem(
            f"The proxy {name} does not require IAM tokens.",
            "# SECRET is the ARN of the secret with the database's password.\n"
            f"{modify} --auth AuthScheme=SECRETS,SecretArn=SECRET,IAMAuth=REQUIRED",
        )
    if proxy.get("IdleClientTimeout", 1800) > _IDLE_SECONDS:
        yield Problem(
            f"The proxy {name} keeps an idle client for {proxy.get('IdleClientTimeout', 1800)} s.",
            f"{modify} --idle-client-timeout {_IDLE_SECONDS}",
        )
    [group] = databases.describe_db_proxy_target_groups(DBProxyName=name)["TargetGroups"]
    if group["ConnectionPoolConfig"].get("ConnectionBorrowTimeout", 120) > _BORROW_SECONDS:
        yield Problem(
            f"The proxy {name} lets a caller wait longer for a connection than the API waits.",
            f"aws rds modify-db-proxy-target-group --region {stage.region} --db-proxy-name {name}"
            f" --target-group-name {group['TargetGroupName']}"
            f" --connection-pool-config ConnectionBorrowTimeout={_BORROW_SECONDS}",
        )
    targets = databases.describe_db_proxy_targets(DBProxyName=name)["Targets"]
    if not any(each.get("TargetHealth", {}).get("State") == "AVAILABLE" for each in targets):
        yield Problem(
            f"No target of the proxy {name} is available.",
            f"aws rds describe-db-proxy-targets --region {stage.region} --db-proxy-name {name}",
        )
    yield from _behind(stage, targets)


def _behind(stage: Stage, targets: list[dict[str, Any]]) -> Iterator[Finding]:
    databases = stage.clients("rds")
    clusters = {each["RdsResourceId"] for each in targets if each["Type"] == "TRACKED_CLUSTER"}
    if clusters:
        for name in clusters:
            [cluster] = databases.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
            yield from _cluster(stage, cluster)
        return
    for each in targets:
        name = each["RdsResourceId"]
        [instance] = databases.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        yield from _instance(stage, instance)


def _instance(stage: Stage, instance: dict[str, Any]) -> Iterator[Finding]:
    for group in instance["DBParameterGroups"]:
        name = group["DBParameterGroupName"]
        pages = stage.clients("rds").get_paginator("describe_db_parameters")
        found = pages.paginate(DBParameterGroupName=name)
        yield from _settings(stage, name, found, "parameter", [instance["DBInstanceIdentifier"]])
        if group.get("ParameterApplyStatus") == "pending-reboot":
            identifier = instance["DBInstanceIdentifier"]
            yield Problem(
                f"{identifier} has not taken its parameter group {name} yet.",
                f"aws rds reboot-db-instance --region {stage.region} --db-instance-identifier {identifier}",
            )


def _cluster(stage: Stage, cluster: dict[str, Any]) -> Iterator[Finding]:
    name = cluster["DBClusterParameterGroup"]
    pages = stage.clients("rds").get_paginator("describe_db_cluster_parameters")
    found = pages.paginate(DBClusterParameterGroupName=name)
    members = [each["DBInstanceIdentifier"] for each in cluster.get("DBClusterMembers", [])]
    yield from _settings(
        stage, name, found, "cluster-parameter", [cluster["DBClusterIdentifier"], *members]
    )


def _settings(
    stage: Stage, group: str, pages: Any, kind: str, users: list[str]
) -> Iterator[Finding]:
    """The group's wrong values. `users` begins with the cluster or instance that has the group."""
    values = {
        each["ParameterName"]: each.get("ParameterValue", "")
        for page in pages
        for each in page["Parameters"]
    }
    wanted = dict(_WANTED)
    if least := CONNECTIONS.get(stage.value("Size")):
        wanted["max_connections"] = (
            str(least),
            # A formula of the instance's memory is none of ours to compute.
            lambda value: not value.isdigit() or int(value) >= least,
        )
    wrong = {
        name: right for name, (right, holds) in wanted.items() if not holds(values.get(name, ""))
    }
    change = f"aws rds modify-db-{kind}-group --region {stage.region} --db-{kind}-group-name"
    if group.startswith("default.") and wrong:
        yield Problem(
            f"{users[0]} uses {group}, which AWS lets nobody change.",
            _own_group(stage, group, kind, users, f"{change} reservations-{stage.name}", wrong),
        )
        return
    for name, right in wrong.items():
        yield Problem(
            f"{group} has {name}={values.get(name) or 'unset'}, and must have {right}.",
            f"{change} {group} --parameters {_parameter(name, right)}",
        )


def _own_group(
    stage: Stage, group: str, kind: str, users: list[str], change: str, wrong: dict[str, str]
) -> str:
    """Commands that give a database a parameter group of its own; it takes effect at a restart."""
    region, own = f"--region {stage.region}", f"reservations-{stage.name}"
    what = "cluster" if kind == "cluster-parameter" else "instance"
    restart = users[1:] if what == "cluster" else users
    return "\n".join(
        [
            f"aws rds create-db-{kind}-group {region} --db-{kind}-group-name {own}"
            f" --db-parameter-group-family {group.removeprefix('default.')} --description {own}",
            f"{change} --parameters {' '.join(_parameter(*each) for each in wrong.items())}",
            f"aws rds modify-db-{what} {region} --db-{what}-identifier {users[0]}"
            f" --db-{kind}-group-name {own} --apply-immediately",
            f"aws rds wait db-{what}-available {region} --db-{what}-identifier {users[0]}",
            *(
                f"aws rds reboot-db-instance {region} --db-instance-identifier {each}"
                for each in restart
            ),
        ]
    )


def _parameter(name: str, value: str) -> str:
    return f"ParameterName={name},ParameterValue={value},ApplyMethod=pending-reboot"
