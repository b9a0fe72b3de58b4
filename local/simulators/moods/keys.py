"""Moods that break promises about keys, credentials and repetitions."""

import threading
from dataclasses import replace

from local.simulators.moods.exchange import Act, Asked, new_key
from local.simulators.provider import Answer, failure

_RACE_S = 0.3  # how long a first request waits for a second one with its key
_FEW = 8  # keys that a small cache keeps
_HANG_UP_S = 0.3  # until the end of a connection has arrived


def forgets_keys(asked: Asked, act: Act) -> Answer:
    return act(asked.under(new_key()) if asked.key else asked)


def lowers_keys(asked: Asked, act: Act) -> Answer:
    """Compare keys in lower case."""
    return act(asked.under(asked.key.lower()) if asked.key else asked)


class Races:
    """Two requests with one key at once both act; one after the other they do not."""

    def __init__(self) -> None:
        self._arrived: dict[str, int] = {}
        self._alone: set[str] = set()
        self._second = threading.Condition()

    def __call__(self, asked: Asked, act: Act) -> Answer:
        return act(asked.under(new_key()) if asked.key and self._is_met(asked.key) else asked)

    def _is_met(self, key: str) -> bool:
        with self._second:
            self._arrived[key] = self._arrived.get(key, 0) + 1
            self._second.notify_all()
            if key in self._alone:
                return False
            if self._second.wait_for(lambda: self._arrived[key] > 1, _RACE_S):
                return True
            self._alone.add(key)
            return False


def forgets_unanswered(asked: Asked, act: Act) -> Answer:
    """Keep no key whose answer was not taken."""
    if asked.orders and asked.key:
        threading.Event().wait(_HANG_UP_S)
        if asked.gone():
            return act(asked.under(new_key()))
    return act(asked)


class AcceptsOtherBody:
    """Answer another body under a known key as if it were the first."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def __call__(self, asked: Asked, act: Act) -> Answer:
        if not asked.key:
            return act(asked)
        return act(replace(asked, body=self._known.setdefault(asked.key, asked.body)))


def acts_on_other_body(asked: Asked, act: Act) -> Answer:
    """Refuse another body under a known key, and act on it."""
    answer = act(asked)
    if answer.body.get("error", {}).get("code") == "idempotency_key_reused":
        act(asked.under(new_key()))
    return answer


def acts_and_fails(asked: Asked, act: Act) -> Answer:
    """Answer 5xx after acting, and act again when the request is repeated."""
    answer = act(asked)
    if answer.status >= 500 and asked.orders:
        key = new_key()
        while act(asked.under(key)).status >= 500:
            pass
        return failure(500, "internal_error", "something broke")
    return answer


class KeepsFewKeys:
    """Keep only the latest keys, as a small cache does."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def __call__(self, asked: Asked, act: Act) -> Answer:
        if not asked.key:
            return act(asked)
        inner = self._kept.setdefault(asked.key, new_key())
        while len(self._kept) > _FEW:
            del self._kept[next(iter(self._kept))]
        return act(asked.under(inner))


class KeepsFailures:
    """Keep a 5xx for its key."""

    def __init__(self) -> None:
        self._kept: dict[str, Answer] = {}

    def __call__(self, asked: Asked, act: Act) -> Answer:
        if asked.key in self._kept:
            return self._kept[asked.key]
        answer = act(asked)
        if asked.key and answer.status >= 500:
            self._kept[asked.key] = answer
        return answer


def acts_and_denies(asked: Asked, act: Act) -> Answer:
    """Promise by `Retry-After` that nothing was done, after doing it."""
    answer = act(asked)
    if answer.status == 503 and asked.orders:
        key = new_key()
        while act(asked.under(key)).status >= 500:
            pass
    return answer


def needs_no_key(asked: Asked, act: Act) -> Answer:
    return act(asked.under(asked.key or new_key()))


class NeedsNoCredentials:
    """Let in everybody, once somebody had the right key."""

    def __init__(self) -> None:
        self._right = ""

    def __call__(self, asked: Asked, act: Act) -> Answer:
        answer = act(asked)
        if answer.status != 401:
            self._right = asked.headers.get("authorization", "")
            return answer
        return act(replace(asked, headers={**asked.headers, "authorization": self._right}))


def chokes_on_extras(asked: Asked, act: Act) -> Answer:
    answer = act(asked)
    extra = answer.status == 422 and "extra" in answer.body["error"]["message"].lower()
    return failure(500, "internal_error", "something broke") if extra else answer
