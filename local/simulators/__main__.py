"""Serve the payments or the supplier simulator until SIGTERM."""

import argparse
import os
import signal
import sys
import textwrap
import threading
from pathlib import Path

from local.simulators.moods import MOODS
from local.simulators.payments import Payments
from local.simulators.provider import Times
from local.simulators.server import Desk, Server
from local.simulators.storage import Storage
from local.simulators.supplier import Supplier
from local.simulators.webhooks import Clockwork

_PROVIDERS = {"payments": Payments, "supplier": Supplier}
_EPILOG = """payments is programmed by the token:
  tok_ok               takes the money
  tok_declined         declines, as it does any token not listed here
  tok_pending          pending, then taken and announced by a webhook
  tok_timeout          takes the money and never answers
  tok_flaky            fails twice, then takes the money
  tok_lost             always fails, takes nothing
  tok_late             takes the money, never answers, and does not list it at first
  tok_twice            takes the money, says it did not, and takes it again under the same key
  tok_undecided        pending for ever, until it is voided
  tok_wrong_amount     takes 1.00 more than was asked
  tok_wrong_currency   takes the sum in another currency
  tok_wrong_reference  takes the money, and answers with the reference of another payment
  tok_refund_pending   a refund is pending, then made and announced by a webhook
  tok_refund_rejected  refuses a refund
  tok_refund_timeout   makes a refund and never answers
  tok_refund_late_failure  makes a refund, then fails it and announces that by a webhook
supplier is programmed by how the offer begins:
  HTL-  confirms; HTL-KIT-001 only at its price, 4.35 EUR
  REJ-  rejects, as it does any offer not listed here
  PEN-  pending, then confirms and announces it by a webhook
  TMO-  confirms and never answers
  FLK-  fails twice, then confirms
  LAT-  confirms, never answers, and does not list it at first
  TWI-  confirms, says it did not, and confirms another under the same key
  CXL-  confirms, then cancels by itself and announces it by a webhook
  NOC-  confirms and refuses to cancel
control:
  GET  /_sim/health
  GET  /_sim/ledger
  GET  /_sim/rows?reference=...
       all rows under a reference, also removed ones
  POST /_sim/rows {"kind": "payment|refund|booking", "id": "...", "set": {"status": "voided"}}
  POST /_sim/rows {"kind": "payment|refund|booking", "id": "...", "remove": true}
       The provider changes its word by hand, and announces it by a webhook unless "silent": true.
       Members of a payment: id, status, amount, currency, refunded_amount, dispute. Of a refund: id,
       status, amount, currency. Of a booking: id, status, locator, starts_on, ends_on, price.
       A new id is exact. Null unsets an optional member. A set brings a removed row back. An unknown
       refund is made if its payment_id is set: of the whole payment, unless an amount is set too.
  GET  /_sim/mood
       the mood, and the mode of the faults
  POST /_sim/faults {"mode": "ok|outage|slow", "latency_ms": 0}
  POST /_sim/mood {"mood": "NAME"}   (null keeps every promise):
{moods}
  POST /_sim/webhook {"url": "...", "secret": "whsec_..."}
  POST /_sim/reset   (the webhook stays)
environment:
  SIMULATOR_API_KEY    the only key that it takes; without it any"""


def _moods() -> str:
    indent = " " * 7
    names = ", ".join(sorted(MOODS))
    return textwrap.fill(names, 100, initial_indent=indent, subsequent_indent=indent)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.simulators",
        description=__doc__,
        epilog=_EPILOG.replace("{moods}", _moods()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("provider", choices=_PROVIDERS)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one and prints it")
    parser.add_argument("--state", type=Path, required=True, help="the SQLite file of its ledger")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--pending-seconds",
        type=float,
        default=Times().pending,
        help="duration of a pending status, and of a booking that CXL- cancels",
    )
    parser.add_argument(
        "--late-seconds",
        type=float,
        default=Times().late,
        help="delay of late items in a listing",
    )
    parser.add_argument(
        "--silence-seconds", type=float, default=75, help="wait of a caller that gets no answer"
    )
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    stopping = threading.Event()
    times = Times(pending=arguments.pending_seconds, late=arguments.late_seconds)
    storage = Storage(arguments.state)
    provider = _PROVIDERS[arguments.provider](times, storage)
    try:
        server = Server(
            (arguments.host, arguments.port),
            desk=Desk(provider, api_key=os.environ.get("SIMULATOR_API_KEY")),
            silence_seconds=arguments.silence_seconds,
            stopping=stopping,
        )
    except OSError as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error}", file=sys.stderr)
        return 1

    def stop(*_: object) -> None:
        stopping.set()
        # shutdown() waits for the loop of this thread.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    clockwork = Clockwork(provider, stopping=stopping)
    clockwork.start()
    print(f"{provider.name} simulator on http://{arguments.host}:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    clockwork.join(timeout=1)
    storage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
