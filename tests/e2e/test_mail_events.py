"""Bounces and complaints of SES, from the topic of the template to the traveler's timeline."""

import json

import httpx
import pytest

from local.paths import STACK
from tests.e2e.backstage import Backstage
from tests.e2e.travel import Json, Trip, a_request, depart, eventually
from tests.worlds.invocation import an_event

pytestmark = pytest.mark.timeout(240)
BOUNCED = "mail.bounced.confirmed"


def told(trip: Trip) -> list[str]:
    return [event["type"] for event in trip.events()]


def deployed(backstage: Backstage, name: str) -> str:
    cloudformation = backstage.aws("cloudformation")
    answer = cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId=name)
    return str(answer["StackResourceDetail"]["PhysicalResourceId"])


def test_a_bounce_is_shown_once_however_often_ses_reports_it(
    api: httpx.Client, backstage: Backstage
) -> None:
    trip = depart(api, a_request())
    trip.ended("CONFIRMADA")
    [record] = an_event("record_mail_event.bounced")["Records"]
    bounce: Json = json.loads(record["body"])
    bounce["mail"]["tags"]["reservation_id"] = [backstage.reference(trip)]
    complaint = bounce | {"eventType": "Complaint", "complaint": {}}
    topic = deployed(backstage, "MailEventTopic")

    for event in (bounce, bounce, complaint):
        backstage.aws("sns").publish(TopicArn=topic, Message=json.dumps(event))

    eventually(lambda: BOUNCED in told(trip), of="the bounce on the timeline")
    eventually(lambda: "mail.complained.confirmed" in told(trip), of="the complaint")
    assert told(trip).count(BOUNCED) == 1
