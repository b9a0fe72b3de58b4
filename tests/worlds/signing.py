"""Webhook signatures written from https://www.standardwebhooks.com, independent of our own code."""

import base64
import hashlib
import hmac

PAYMENTS_SECRET = b"payments-secret-of-the-examples!"  # signs events/receive_webhook.*.json
SUPPLIER_SECRET = b"supplier-secret-of-the-examples!"


def a_signature(secret: bytes, *, webhook_id: str, timestamp: int | str, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = b".".join([webhook_id.encode(), str(timestamp).encode(), body])
    mac = hmac.new(secret, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode("ascii")


def signed_headers(
    secret: bytes, *, webhook_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": a_signature(
            secret, webhook_id=webhook_id, timestamp=timestamp, body=body
        ),
    }
