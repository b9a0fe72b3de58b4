/** Test inputs of the local stack: cards and hotels that misbehave on purpose. A real page has neither. */

/** @typedef {import('./texts.js').Key} Key */

/** @type {[Key, string[]][]} */
export const CARDS = [
  ['cards.usual', ['tok_ok', 'tok_declined', 'tok_pending']],
  ['cards.trouble', ['tok_timeout', 'tok_flaky', 'tok_lost', 'tok_late', 'tok_twice', 'tok_undecided']],
  ['cards.wrong', ['tok_wrong_amount', 'tok_wrong_currency', 'tok_wrong_reference']],
  ['cards.refund', ['tok_refund_pending', 'tok_refund_rejected', 'tok_refund_timeout', 'tok_refund_late_failure']],
];

export const TRIALS = ['REJ', 'PEN', 'TMO', 'FLK', 'LAT', 'TWI', 'CXL', 'NOC'];

/**
 * Stand for the payment provider's card form: it takes the card, and gives a token for one payment.
 * @param {string} card
 */
export const tokenize = (card) => `${card}-${crypto.randomUUID()}`;
