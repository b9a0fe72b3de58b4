"""Faults planted in the real modules: each is caught within the first schedules of the hostile world."""

import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.proofs.simulation.seeds import Lived

_SAGA = "reservations.domain.saga"
_LEARNING = "reservations.domain.learning"
_SETTLEMENT = "reservations.domain.settlement"
_FULFILMENT = "reservations.domain.fulfilment"
_STEP = "reservations.application.provider_step"
_NOTIFY = "reservations.application.notify_customer"
_POLLER = "reservations.application.poll_outbox"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault: in `module`, each `old` text, found exactly once, becomes `new`."""

    name: str
    module: str
    edits: tuple[tuple[str, str], ...]


def _of(name: str, module: str, old: str, new: str, *more: tuple[str, str]) -> Mutant:
    return Mutant(name, module, ((old, new), *more))


_ALL = (
    # --- what to do now
    _of("the money rule stops at closing", _SAGA,
        "if charge is not spared and _may_send(facts, key, now, policy):",
        "if charge is not spared and facts.reason is None and _may_send(facts, key, now, policy):"),
    _of("refunds before the booking is cancelled", _SAGA,
        "costs = facts.reason is not None and _served(facts)", "costs = False"),
    _of("refunds also what is kept", _SAGA,
        "if charge is not spared and _may_send(facts, key, now, policy):",
        "if _may_send(facts, key, now, policy):"),
    _of("the refund's key counts time", _SAGA,
        'key = f"refund:{charge.provider_id}"', 'key = f"refund:{charge.provider_id}:{now}"'),
    _of("the charge's key counts attempts", _SAGA,
        'key = f"charge:{facts.reservation_id}"\n',
        'key = f"charge:{facts.reservation_id}:{len(facts.calls)}"\n'),
    _of("all reservations charge under one key", _SAGA,
        'key = f"charge:{facts.reservation_id}"\n', 'key = "charge"\n'),
    _of("a charge of which nothing is known is sent again", _SAGA,
        "charging = any(charge.open for charge in facts.of(Operation.CHARGE))",
        "charging = any(charge.open and charge.status is not Status.UNKNOWN"
        " for charge in facts.of(Operation.CHARGE))",
        ("if call is None or call.status is not Status.NOT_FOUND:",
         "if call is None or call.status not in (Status.NOT_FOUND, Status.UNKNOWN):"),
        ("return call.check_at is None or call.due(now) or not paused", "return True")),
    _of("expires with an open charge", _SAGA,
        "    if any(charge.open for charge in charges):\n        return None\n", ""),
    _of("goes on after a cancellation", _SAGA,
        "    if facts.reason is not None:\n        return\n    charge = kept_charge(facts)\n",
        "    charge = kept_charge(facts)\n"),
    _of("the supplier's cancellation is not seen", _SAGA,
        "return None if kept_booking(facts) else Reason.SUPPLIER_CANCELLED", "return None"),
    _of("a wrong sum is booked", _SAGA,
        "elif _right_sum(facts, charge) and not _served(facts):", "elif not _served(facts):"),
    _of("another currency is the right sum", _SAGA,
        "money is not None and money.currency == facts.price.currency and",
        "money is not None and"),
    _of("the first charge is kept, whatever its sum", _SAGA,
        "return begun, not _right_sum(facts, charge), _closed_at(charge)",
        "return begun, False, _closed_at(charge)"),
    _of("surplus bookings are left", _SAGA,
        "if live(booking) and booking is not kept and _may_send(facts, key, now, policy):",
        "if live(booking) and facts.reason is not None and _may_send(facts, key, now, policy):"),
    _of("a rejection leaves the money", _SAGA,
        "return Reason.SUPPLIER_REJECTED if refused or tired else None", "return None"),
    _of("a rejected booking closes, whatever else", _SAGA,
        "    if not bookings or _served(facts):\n", "    if not bookings:\n"),
    _of("a declined charge closes, whatever else", _SAGA,
        "    if kept_charge(facts) is None:\n        return _verdict_without_money",
        "    if any(c.status is Status.DECLINED for c in facts.of(Operation.CHARGE)):\n"
        "        return Reason.PAYMENT_DECLINED\n"
        "    if kept_charge(facts) is None:\n        return _verdict_without_money"),
    _of("booked before it is paid", _SAGA,
        "    charge = kept_charge(facts)\n    if charge is None:\n        key =",
        "    charge = kept_charge(facts)\n"
        "    if charge is None and facts.of(Operation.CHARGE) and not _served(facts):\n"
        '        yield Action(verb=Verb.BOOK, key=f"book:{facts.reservation_id}",'
        " operation=Operation.BOOK)\n"
        "    if charge is None:\n        key ="),
    _of("the hold counts from creation", _SAGA,
        "return max(sent) + policy.hold if sent else", "return facts.created_at + policy.hold if sent else"),
    _of("a pending charge is voided at once", _SAGA,
        "unwanted = facts.reason is not None or kept_charge(facts) is not None or over",
        "unwanted = True"),
    _of("voids again and again while pending", _SAGA,
        "if pending_charge and unwanted and (call.due(now) or not call.void_asked):",
        "if pending_charge and unwanted:"),
    _of("what needs a person is settled", _SAGA,
        "if done and not reviews(facts, now) else", "if done else"),
    _of("EN CANCELACION again after CANCELADA", _SAGA,
        "word is PublicStatus.CANCELADA and facts.ended_at is None",
        "word is PublicStatus.CANCELADA and state_of(facts) not in FINAL"),
    _of("another booking takes the place of the one on the voucher", _SAGA,
        "if kept is None or facts.confirmed_at is None or", "if kept is None or True or"),
    # --- what changes
    _of("no look is planned when a call begins", _LEARNING,
        "        check_at=now + policy.rung(0),\n    )", "        check_at=None,\n    )"),
    _of("a timeout is taken for a refusal", _LEARNING,
        "replace(call, status=Status.UNKNOWN, check_at=look_at)",
        "replace(call, status=Status.DECLINED, closed_at=now, quiet_from=now, check_at=look_at)"),
    _of("a failed inquiry is an empty listing", _LEARNING,
        "facts = facts.put(_not_asked(call, outcome, now, policy))",
        "facts = answer.file_listing(facts, call, Listing(()))"),
    _of("the last answer wins, stale or not", _LEARNING,
        "if RANK[seen.status] <= RANK[call.status]:", "if seen.status is call.status:"),
    _of("an answer goes to the row that asked", _LEARNING,
        "        row = next((row for row in rows if row.provider_id == seen.provider_id), None)\n",
        "        row = None\n"),
    _of("a second payment is ignored", _LEARNING,
        "        return facts.put(self.learn(row or self.found(operation, target, seen), seen))",
        "        return facts.put(self.learn(row, seen)) if row else facts"),
    _of("what was not sent is sent again with no pause", _LEARNING,
        "send_at = now + _pause(outcome, rung, policy)", "send_at = now"),
    _of("what is closed is never looked at again", _LEARNING,
        "_LOOKED_AFTER = frozenset({Operation.CHARGE, Operation.BOOK})", "_LOOKED_AFTER = frozenset()"),
    _of("a webhook is only a hint", _LEARNING,
        "facts = facts.put(replace(call, check_at=now, looks=0, quiet_from=quiet_from))",
        "pass"),
    _of("the stamp of the end is renewed", _LEARNING,
        "if facts.ended_at is None and state in FINAL:", "if state in FINAL:"),
    _of("a look at another booking puts a cancellation off", _LEARNING,
        "if call.status is Status.NOT_FOUND and not own:", "if call.missing_since and not own:"),
    # --- the timer, the voucher, the mails
    _of("an action sets no timer", _SETTLEMENT,
        "            return now + policy.hint_lease\n", "            return None\n"),
    _of("what is owed to the traveler sets no timer", _SETTLEMENT,
        "        _wish(owed, now, policy),\n", ""),
    _of("the mail goes before the voucher", _FULFILMENT,
        "is State.SUPPLIER_CONFIRMED and reservation.voucher is None:",
        "is State.SUPPLIER_CONFIRMED and reservation.sends and reservation.voucher is None:"),
    _of("a send that was cut off is never repeated", _FULFILMENT,
        "check_at=None if repeats else now + policy.mail_repeat", "check_at=None"),
    _of("a send that stays unknown is repeated for ever", _FULFILMENT,
        "check_at=None if repeats else now + policy.mail_repeat", "check_at=now + policy.mail_repeat"),
    _of("nobody writes about the refund of an expired reservation", _FULFILMENT,
        "    MailRule(word=PublicStatus.EXPIRADA, kind=MailKind.REFUNDED, state=State.REFUNDED),\n", ""),
    _of("a mail that was sent is sent once more", _FULFILMENT,
        "return replace(send, status=status, ses_id=ses_id, check_at=None)",
        "return replace(send, status=status, ses_id=ses_id)"),
    # --- the use cases
    _of("any step does any action", _STEP,
        "if not isinstance(action, Action) or wanted_queue(action) is not queue:",
        "if not isinstance(action, Action):"),
    _of("the call is made before it is written down", _STEP,
        "        customer = uow.reservations.customer(reservation_id)\n"
        "        settle_and_save(reservation, uow=uow, policy=policy, now=now)\n"
        "        uow.commit()\n",
        "        customer = uow.reservations.customer(reservation_id)\n"),
    _of("the answer is saved without planning again", _STEP,
        "settle_and_save(replace(reservation, facts=facts), uow=uow, policy=policy, now=now)",
        "uow.reservations.save(replace(reservation, facts=facts), now=now)"),
    _of("what is refunded is the price, not what was taken", "reservations.application.process_payment",
        "money=action.money or reservation.facts.price", "money=reservation.facts.price"),
    _of("each attempt to book has a key of its own", "reservations.application.confirm_supplier",
        "key=action.key", 'key=f"{action.key}:{not_after}"'),
    _of("the poller wakes nobody", _POLLER,
        "    return Polled(woken=len(publisher.publish(hints).accepted))", "    return Polled()"),
    _of("a mail is sent before it is written down", _NOTIFY,
        "            reservation = entry(reservation, kind, now, policy)\n"
        "            settle_and_save(reservation, uow=uow, policy=policy, now=now)\n",
        "            pass\n",
        ("        reservation = record_send(reservation,",
         "        reservation = record_send(begin_send(reservation, kind, now, policy),")),
    _of("the token is forgotten while a charge may be sent again", "reservations.application.bookkeeping",
        "frozenset({Status.SUCCEEDED,", "frozenset({Status.NOT_FOUND, Status.SUCCEEDED,"),
    _of("the token is kept for ever", "reservations.application.bookkeeping",
        "facts.reason is not None or any(", "any("),
    _of("the version grows with every write", "reservations.application.bookkeeping",
        "    if reads_differently(before, after, now, policy):\n", "    if before is not after:\n"),
    _of("a cancellation tells nobody and sets no timer", "reservations.application.cancel_reservation",
        "settle_and_save(closed, uow=uow, policy=policy, now=now, actor=actor)",
        "uow.reservations.save(closed, now=now, actor=actor)"),
    _of("a webhook wakes the rows of the other provider", "reservations.application.receive_webhook",
        "wake(reservation.facts, event.provider, now)",
        "wake(reservation.facts, next(p for p in type(event.provider) if p is not event.provider), now)"),
    _of("the voucher names the first booking there was", "reservations.application.vouchers",
        "booking, confirmed_at = kept_booking(reservation.facts), reservation.facts.confirmed_at",
        "booking, confirmed_at = reservation.facts.calls[-1], reservation.facts.confirmed_at"),
)  # fmt: skip

MUTANTS = {mutant.name: mutant for mutant in _ALL}
WITHIN = 500  # schedules; most faults need ten


def caught(names: Iterable[str]) -> "Iterator[tuple[str, Lived | None]]":
    """Plant each fault in a process of its own, where its module is not loaded yet.

    Gives its name and the first schedule with a violation, or `None` if it survives.
    """
    names, jobs = list(names), os.cpu_count()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        yield from zip(names, pool.map(_first_violation, names), strict=True)


def _first_violation(name: str) -> "Lived | None":
    plant(MUTANTS[name])
    from tests.proofs.simulation.seeds import live

    return next((lived for lived in map(live, range(WITHIN)) if lived.violation), None)


def mutated(source: str, mutant: Mutant) -> str:
    """Apply the edits of a fault.

    Raises:
        ValueError: a text is not found exactly once: the code has changed, and so must the table.
    """
    for old, new in mutant.edits:
        if source.count(old) != 1:
            raise ValueError(f"{mutant.name}: found {source.count(old)} times: {old!r}")
        source = source.replace(old, new)
    return source


def plant(mutant: Mutant) -> None:
    """Let the module be loaded with the fault in it; only before its first import."""
    if mutant.module in sys.modules:
        raise RuntimeError(f"{mutant.module} is loaded already")
    sys.meta_path.insert(0, _Finder(mutant))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            raise ImportError(f"{fullname} is not there to be mutated")
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=_Loader(self._mutant, fullname, spec.origin)
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutant: Mutant, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        """Compile the mutated text; no compiled file is read or written."""
        source = mutated(self.get_data(self.path).decode(), self._mutant)
        return compile(source, self.path, "exec", dont_inherit=True)
