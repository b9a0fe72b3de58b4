"""Hostile moods of a provider, for the conformance kit: each stands before the provider and breaks one promise."""

from collections.abc import Callable, Mapping

from local.simulators.moods import answers, keys, listings
from local.simulators.moods.exchange import Asked, Mood, kind

__all__ = ["MOODS", "Asked", "Mood", "kind"]

# A new mood each time one is set, so that none remembers an earlier run.
MOODS: Mapping[str, Callable[[], Mood]] = {
    "accepts_other_body": keys.AcceptsOtherBody,
    "acts_and_denies": lambda: keys.acts_and_denies,
    "acts_and_fails": lambda: keys.acts_and_fails,
    "acts_on_other_body": lambda: keys.acts_on_other_body,
    "cancels_in_words": answers.CancelsInWords,
    "cancels_with_new_locator": lambda: listings.cancels_with_new_locator,
    "changes_case": lambda: listings.changes_case,
    "changes_ids": lambda: listings.changes_ids,
    "changes_its_word": listings.ChangesItsWord,
    "changes_locators": lambda: listings.changes_locators,
    "changes_prices": lambda: answers.changes_prices,
    "chokes_on_extras": lambda: keys.chokes_on_extras,
    "confirms_any_price": lambda: answers.confirms_any_price,
    "declines_by_4xx": lambda: answers.declines_by_4xx,
    "empty_is_404": lambda: listings.empty_is_404,
    "error_in_200": lambda: answers.error_in_200,
    "falters": answers.Falters,
    "forgets_keys": lambda: keys.forgets_keys,
    "forgets_unanswered": lambda: keys.forgets_unanswered,
    "hides_rows": lambda: listings.hides_rows,
    "html_200": lambda: answers.html_200,
    "ignores_case": lambda: listings.ignores_case,
    "ignores_reference": listings.IgnoresReference,
    "keeps_5xx": keys.KeepsFailures,
    "keeps_few_keys": keys.KeepsFewKeys,
    "lists_late": listings.ListsLate,
    "lowers_keys": lambda: keys.lowers_keys,
    "matches_prefixes": listings.MatchesPrefixes,
    "miscounts_refunds": lambda: answers.miscounts_refunds,
    "misnames_rows": lambda: answers.misnames_rows,
    "needs_no_credentials": keys.NeedsNoCredentials,
    "needs_no_key": lambda: keys.needs_no_key,
    "needs_no_reference": lambda: listings.needs_no_reference,
    "nets_amounts": lambda: answers.nets_amounts,
    "other_dates": lambda: answers.other_dates,
    "over_refunds": lambda: answers.over_refunds,
    "races": keys.Races,
    "refunds_twice": lambda: answers.refunds_twice,
    "revives": answers.Revives,
    "rounds_amounts": lambda: answers.rounds_amounts,
    "sells_out": answers.SellsOut,
    "voids_taken": lambda: answers.voids_taken,
    "wrong_decimals": lambda: answers.wrong_decimals,
}
