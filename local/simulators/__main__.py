"""Serve the payments or the supplier simulator until SIGTERM."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from local.simulators.ledger import Ledger
from local.simulators.payments import TOKENS, Payments
from local.simulators.server import Desk, Server
from local.simulators.supplier import OFFERS, Supplier
from local.simulators.webhooks import Clockwork

_PROVIDERS = {"payments": Payments, "supplier": Supplier}
_EPILOG = f"""payments is programmed by the token: {", ".join(TOKENS)}; any other is declined.
supplier is programmed by the offer: {", ".join(OFFERS)}; any other is rejected.
control:
  GET  /_sim/health
  GET  /_sim/ledger
  POST /_sim/faults {{"mode": "ok|outage|slow", "latency_ms": 0}}
  POST /_sim/webhook {{"url": "...", "secret": "whsec_..."}}
  POST /_sim/reset   (the webhook stays)"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.simulators",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("provider", choices=_PROVIDERS)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one and prints it")
    parser.add_argument("--state", type=Path, required=True, help="the SQLite file of its ledger")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--pending-seconds", type=float, default=3, help="how long what is pending stays so"
    )
    parser.add_argument(
        "--silence-seconds", type=float, default=75, help="how long an unanswered caller waits"
    )
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    stopping = threading.Event()
    provider = _PROVIDERS[arguments.provider](pending_seconds=arguments.pending_seconds)
    ledger = Ledger(arguments.state, schema=provider.schema)
    try:
        server = Server(
            (arguments.host, arguments.port),
            desk=Desk(provider=provider, ledger=ledger),
            silence_seconds=arguments.silence_seconds,
            stopping=stopping,
        )
    except OSError as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error}", file=sys.stderr)
        return 1

    def stop(*_: object) -> None:
        stopping.set()
        # shutdown() waits for the loop that this very thread runs.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    clockwork = Clockwork(ledger=ledger, provider=provider, stopping=stopping)
    clockwork.start()
    print(f"{provider.name} simulator on http://{arguments.host}:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    clockwork.join(timeout=1)
    ledger.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
