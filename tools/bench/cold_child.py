"""One cold start, in the environment of the functions: the event comes by the input, the CPU seconds by the output."""

import json
import sys
import time

import awslambdaric.bootstrap  # noqa: F401  the runtime has loaded it before our code

given = json.load(sys.stdin)
output, sys.stdout = sys.stdout, sys.stderr


class Context:
    function_name = "reservations-bench"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:reservations-bench"
    aws_request_id = "6f2d1c9e-1d1f-4c52-a1e5-6a2f1f0a9d11"
    tenant_id = None
    asked = 0

    def get_remaining_time_in_millis(self) -> int:
        """Time for one round of the poller, then none."""
        self.asked += 1
        return 240_000 if self.asked == 1 or not polls else 0


polls = "PollOutbox" in json.dumps(given["event"])
began = time.process_time()
answer = {}
if given["event"] is None:
    import pymysql

    imported = time.process_time()
    with pymysql.connect(**given["database"]).cursor() as cursor:
        cursor.execute("SELECT 1")
else:
    from handler import lambda_handler  # type: ignore[import-not-found]

    imported = time.process_time()
    answer = lambda_handler(given["event"], Context())
ended = time.process_time()
report = {"imports": imported - began, "first": ended - imported, "answer": answer}
print(json.dumps(report), file=output, flush=True)
