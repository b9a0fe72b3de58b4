"""What a broken promise is."""


class ViolationError(Exception):
    """A promise was broken; `rule` names it."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"({rule}) {detail}")
        self.rule = rule
