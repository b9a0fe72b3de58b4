"""Payments, supplier and AWS on one port of this machine, answering at once: `python -m tools.bench.world`.

Reads the parameters of Parameter Store as one JSON line and prints the port. `{world}` in a value stands for the URL.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_SES = (
    '<SendRawEmailResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><SendRawEmailResult>'
    "<MessageId>m-{number}</MessageId></SendRawEmailResult></SendRawEmailResponse>"
)


@contextmanager
def running(parameters: Mapping[str, str]) -> Iterator[str]:
    """Start the server in a process of its own and yield its URL."""
    command = [sys.executable, "-m", "tools.bench.world"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(dict(parameters)) + "\n")
        process.stdin.flush()
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


class World:
    """The answers. Documents are kept, everything else is forgotten."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._parameters = parameters
        self._documents: dict[str, bytes] = {}
        self._number = 0

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        self._number += 1
        target = headers.get("x-amz-target", "")
        if target.startswith(("AmazonSSM", "AmazonSQS")):
            return 200, json.dumps(self._json(target, json.loads(body))).encode()
        if headers.get("authorization", "").startswith("AWS4") and body.startswith(b"Action="):
            return 200, _SES.format(number=self._number).encode()
        if path.startswith("/documents/"):
            return self._document(method, path, body)
        return 200, json.dumps(self._provider(path, json.loads(body or b"{}"))).encode()

    def _json(self, target: str, request: dict[str, Any]) -> dict[str, Any]:
        if target == "AmazonSSM.GetParameters":
            known = [name for name in request["Names"] if name in self._parameters]
            return {
                "Parameters": [{"Name": name, "Value": self._parameters[name]} for name in known],
                "InvalidParameters": [name for name in request["Names"] if name not in known],
            }
        entries = request.get("Entries", ())
        sent = {"MessageId": f"m-{self._number}", "MD5OfMessageBody": ""}
        return {"Successful": [{"Id": entry["Id"], **sent} for entry in entries], **sent}

    def _document(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        path = path.partition("?")[0]
        if method == "PUT":
            self._documents[path] = body
        found = self._documents.get(path)
        return (404, b"") if found is None else (200, found if method == "GET" else b"")

    def _provider(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        number = self._number
        if path.endswith("/refunds"):
            return {**request, "refund_id": f"ref_{number}", "status": "succeeded"}
        if path == "/bookings":
            names = {"booking_id": f"bkg_{number}", "locator": f"L{number}"}
            return {**request, **names, "status": "confirmed"}
        names = {"payment_id": f"pay_{number}", "refunded_amount": "0.00"}
        return {**request, **names, "status": "succeeded"}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                method, path, _ = line.decode().split()
                headers = {}
                while header := (await reader.readline()).decode().strip():
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                if headers.get("expect"):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, content = self.answer(method, path, headers, body)
                size = len(content) if method != "HEAD" else 0
                kind = "text/xml" if content.startswith(b"<") else "application/json"
                writer.write(
                    f"HTTP/1.1 {status} Answer\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {size}\r\n\r\n".encode()
                )
                writer.write(content[:size])
                await writer.drain()
                if headers.get("connection", "").lower() == "close":
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def main() -> None:
    parameters: dict[str, str] = {}
    server = await asyncio.start_server(World(parameters).serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name, value in json.loads(sys.stdin.readline()).items():
        parameters[name] = value.replace("{world}", f"http://127.0.0.1:{port}")
    print(port, flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
