"""Run AWS's runtime interface client in a function's process, which ends with LocalStack.

`PR_SET_PDEATHSIG` is no alternative: it fires when the parent's *thread* ends, not its process.
"""

import os
import sys
import threading


def _leave_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)  # returns only when the other end is closed, by kill -9 too
    os._exit(1)


threading.Thread(target=_leave_with_parent, args=(int(sys.argv[1]),), daemon=True).start()
if "DEBUGGER" in os.environ:
    port, packages = os.environ["DEBUGGER"].splitlines()
    sys.path.append(packages)
    import debugpy  # noqa: T100  # `make debug` asked for it

    sys.path.remove(packages)
    try:
        debugpy.listen(("127.0.0.1", int(port)))  # noqa: T100
        debugpy.wait_for_client()  # noqa: T100
    except RuntimeError:  # another environment of this function has the port
        print("not debugged: the port is taken", flush=True)
sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
sys.argv = ["awslambdaric", sys.argv[2]]

from awslambdaric.__main__ import main  # noqa: E402  the path of the function comes first

main(sys.argv)
