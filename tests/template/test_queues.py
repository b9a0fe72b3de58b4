"""The queues of the template: no message is lost or retried for ever, and alarms page somebody."""

import re
from pathlib import Path
from typing import Any

import pytest

from local.template import SIZES, in_size
from reservations.domain.actions import LOOK_QUEUE_OF, QUEUE_OF
from reservations.domain.messages import Queue
from tests.template.resources import functions, name_of, resources, template

RECEIVES = 20
VISIBILITY_FACTOR = 6  # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html

QUEUES = resources("AWS::SQS::Queue")
LIVE = {name: queue for name, queue in QUEUES.items() if "RedrivePolicy" in queue}
DEAD = {name: queue for name, queue in QUEUES.items() if name not in LIVE}

every_queue = pytest.mark.parametrize(("name", "queue"), LIVE.items(), ids=LIVE)


def queue_name(queue: Queue) -> str:
    """The logical id of a queue in the template."""
    return f"{queue.name.title().replace('_', '')}Queue"


LOOKS = {queue_name(LOOK_QUEUE_OF[at]): queue_name(QUEUE_OF[at]) for at in LOOK_QUEUE_OF}


def consumer(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The properties of the one function that reads a queue, and of its event source."""
    [found] = [
        (properties, event["Properties"])
        for properties in functions().values()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "SQS" and name_of(event["Properties"]["Queue"]) == name
    ]
    return found


def sources(function: dict[str, Any]) -> list[dict[str, Any]]:
    events = function.get("Events", {}).values()
    return [event["Properties"] for event in events if event["Type"] == "SQS"]


def test_there_is_a_queue_for_each_step_and_dead_letters_for_each_function() -> None:
    assert set(LIVE) == {*map(queue_name, Queue), "MailEventQueue"}
    assert len(DEAD) == sum(bool(sources(function)) for function in functions().values())


@pytest.mark.parametrize(("look", "step"), LOOKS.items())
def test_the_function_of_a_provider_reads_its_late_looks_too(look: str, step: str) -> None:
    assert consumer(look)[0] == consumer(step)[0]


@every_queue
def test_unhandled_messages_go_to_the_dead_letter_queue_of_their_step(
    name: str, queue: dict[str, Any]
) -> None:
    policy = queue["RedrivePolicy"]
    dead = name_of(policy["deadLetterTargetArn"])
    assert dead == LOOKS.get(name, name).replace("Queue", "DeadLetterQueue")
    assert policy["maxReceiveCount"] == RECEIVES
    assert DEAD[dead]["MessageRetentionPeriod"] == 14 * 24 * 60 * 60  # the longest SQS keeps


@pytest.mark.parametrize("name", DEAD)
def test_one_dead_letter_raises_an_alarm(name: str) -> None:
    alarms = [
        alarm_name
        for alarm_name, alarm in resources("AWS::CloudWatch::Alarm").items()
        if alarm.get("Namespace") == "AWS/SQS" and name_of(alarm["Dimensions"][0]["Value"]) == name
    ]
    assert alarms == [name.replace("Queue", "Alarm")]
    alarm = resources("AWS::CloudWatch::Alarm")[alarms[0]]
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (1, 1)


@every_queue
def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_take(
    name: str, queue: dict[str, Any]
) -> None:
    function, _ = consumer(name)
    assert queue["VisibilityTimeout"] >= VISIBILITY_FACTOR * function["Timeout"]


@every_queue
def test_a_batch_is_answered_message_by_message(name: str, queue: dict[str, Any]) -> None:
    _, event = consumer(name)
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("folder", functions())
def test_the_queues_of_a_function_never_invoke_more_than_its_reserved_concurrency(
    folder: str, size: str
) -> None:
    """A throttled message counts as received, and would be dead-lettered unread.

    So each queue has places of its own too: late looks never take those of a charge or a booking.
    """
    function = functions()[folder]
    wanted = [
        in_size(event["ScalingConfig"]["MaximumConcurrency"], size) or 0
        for event in sources(function)
    ]
    assert all(each >= 2 for each in wanted)  # the least that SQS allows
    if wanted and size != "small":
        assert sum(wanted) <= (in_size(function["ReservedConcurrentExecutions"], size) or 0)


@every_queue
def test_a_queue_and_a_function_take_their_own_row_of_places(
    name: str, queue: dict[str, Any]
) -> None:
    function, event = consumer(name)
    [row] = re.findall(r"\w+Queue", str(event["ScalingConfig"]))
    assert row == name
    assert Path(function["CodeUri"]).name.replace("_", "") in (
        str(function["ReservedConcurrentExecutions"]).lower()
    )


@every_queue
def test_a_function_sends_dead_letters_to_those_of_its_own_queues(
    name: str, queue: dict[str, Any]
) -> None:
    function, _ = consumer(name)
    own = name_of(function["Environment"]["Variables"]["DEAD_LETTER_QUEUE_URL"])
    assert own == name_of(queue["RedrivePolicy"]["deadLetterTargetArn"])


def test_every_function_knows_the_queues_by_their_own_names() -> None:
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    addresses = {k: name_of(v) for k, v in variables.items() if k.endswith("_QUEUE_URL")}
    assert addresses == {f"{queue.name}_QUEUE_URL": queue_name(queue) for queue in Queue}


def test_only_ses_of_this_account_may_send_mail_events_and_only_through_its_topic() -> None:
    [topic] = resources("AWS::SNS::TopicPolicy").values()
    [queue] = resources("AWS::SQS::QueuePolicy").values()
    [publish], [send] = (policy["PolicyDocument"]["Statement"] for policy in (topic, queue))
    assert topic["Topics"] == [{"Ref": "MailEventTopic"}]
    assert publish == {
        "Sid": "OnlySesOfThisAccount",
        "Effect": "Allow",
        "Principal": {"Service": "ses.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": {"Ref": "MailEventTopic"},
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }
    assert queue["Queues"] == [{"Ref": "MailEventQueue"}]
    assert send == {
        "Sid": "OnlyItsTopic",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": {"Fn::GetAtt": ["MailEventQueue", "Arn"]},
        "Condition": {"ArnEquals": {"aws:SourceArn": {"Ref": "MailEventTopic"}}},
    }


def test_a_mail_travels_over_tls_or_not_at_all_and_its_reputation_is_counted() -> None:
    [sending] = resources("AWS::SES::ConfigurationSet").values()
    assert sending["DeliveryOptions"] == {"TlsPolicy": "REQUIRE"}
    assert sending["ReputationOptions"] == {"ReputationMetricsEnabled": True}


def test_bounces_and_complaints_arrive_as_ses_wrote_them() -> None:
    [destination] = resources("AWS::SES::ConfigurationSetEventDestination").values()
    subscription = resources("AWS::SNS::Subscription")["MailEventSubscription"]
    told = destination["EventDestination"]
    assert (told["Enabled"], told["MatchingEventTypes"]) == (True, ["bounce", "complaint"])
    assert name_of(told["SnsDestination"]["TopicARN"]) == name_of(subscription["TopicArn"])
    assert subscription["RawMessageDelivery"] is True
    assert name_of(subscription["Endpoint"]) == "MailEventQueue"
    mailing = functions()["notify_customer"]["Environment"]["Variables"]
    [named] = resources("AWS::SES::ConfigurationSet").values()
    assert mailing["MAIL_CONFIGURATION_SET"] == named["Name"]
    assert name_of(destination["ConfigurationSetName"]) == "MailConfigurationSet"


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_is_encrypted(name: str) -> None:
    assert QUEUES[name]["SqsManagedSseEnabled"] is True


def test_a_queue_without_a_reader_raises_an_alarm() -> None:
    """A repeated hint moves the due time, so neither the oldest due row nor the outbox shows the delay."""
    assert queues_watched_by("QueueBehindAlarm") == set(LIVE) - set(LOOKS)
    assert queues_watched_by("LooksBehindAlarm") == set(LOOKS)


def test_a_late_look_that_keeps_failing_is_dead_lettered_before_its_queue_is_behind() -> None:
    longest = max(QUEUES[name]["VisibilityTimeout"] for name in LOOKS) * RECEIVES
    assert resources("AWS::CloudWatch::Alarm")["LooksBehindAlarm"]["Threshold"] > longest


def queues_watched_by(alarm: str) -> set[str]:
    _, *watched = resources("AWS::CloudWatch::Alarm")[alarm]["Metrics"]
    metrics = [each["MetricStat"]["Metric"] for each in watched]
    assert {metric["MetricName"] for metric in metrics} == {"ApproximateAgeOfOldestMessage"}
    return {name_of(metric["Dimensions"][0]["Value"]) for metric in metrics}
