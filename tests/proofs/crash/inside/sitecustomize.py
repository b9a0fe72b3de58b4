"""Log the crossings of a function of the stack. Python imports this first where `witnessed` put it."""

import os

from tests.proofs.crash.boundaries import Tracer, watch

_LOG = os.open(os.environ["CROSSINGS_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


class _Witness(Tracer):
    """Logs each kind of crossing once, as a process serves many invocations."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def before(self, what: str) -> None:
        super().before(what)
        if self.crossings and (crossing := self.crossings.pop()) not in self._seen:
            self._seen.add(crossing)
            os.write(_LOG, f"{os.environ['CROSSINGS_OF']} | {crossing}\n".encode())


watch(_Witness())
