"""The error of a broken promise."""


class ViolationError(Exception):
    """A broken promise, named by `rule`."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"({rule}) {detail}")
        self.rule = rule
