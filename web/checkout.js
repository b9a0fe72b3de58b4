/** The traveler's details and the payment: one form, one idempotency key per content. */

import { NotSentError, UnsettledError, create, quote } from './api.js';
import { attemptFor } from './attempts.js';
import { fill, named, part, picture } from './dom.js';
import { clearFaults, emptyFields, faultsOf, markFields, sentence } from './faults.js';
import { nights } from './offers.js';
import { insist } from './patience.js';
import { draft, isSending, keepDraft, keepKnown, keepSending } from './session.js';
import { counted, day, money, text } from './texts.js';
import { CARDS, tokenize } from './trials.js';

/** @typedef {import('./main.js').View} View */
/** @typedef {import('./session.js').Draft} Draft */

const DAY = 24 * 60 * 60 * 1000;
/** The request under way, if there is one. A second click meets it. @type {Promise<void> | undefined} */
let sending;

/** @type {View} */
export async function showCheckout(root, { go }) {
  const chosen = draft();
  if (!chosen) return go('?', { replace: true });
  const form = /** @type {HTMLFormElement} */ (root.querySelector('form'));
  clearFaults(form);
  listCards(form);
  restore(form, chosen);
  summarize(root, chosen);
  form.oninput = () => {
    const changed = typed(form, chosen);
    keepDraft(changed);
    summarize(root, changed);
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    sending ??= reserve(root, form, go).finally(() => (sending = undefined));
  };
  freeze(form, isSending());
  if (isSending()) form.requestSubmit(); // the page was loaded again while a request was under way
}

/**
 * Send the form until it is answered, and go to the reservation.
 * @param {HTMLElement} root @param {HTMLFormElement} form @param {import('./main.js').Go} go
 */
async function reserve(root, form, go) {
  const content = /** @type {Draft} */ (draft());
  clearFaults(form);
  const empty = emptyFields(form);
  if (empty.length) return list(form, empty, text('problem.fields'));
  const before = isSending(); // a request of before, whose answer is still missing
  keepSending(true);
  freeze(form, true);
  fill(form, { sending: text('sending') });
  const { digest, key, payment_token } = await attemptFor(content, () => tokenize(content.card));
  const { customer, offer, price } = content;
  const named = { ...customer, phone: customer.phone || null };
  try {
    const { created, replayed } = await insist(
      async (unsettled) => {
        const body = { customer: named, offer, price, payment_token };
        return create({ ...body, quote: await signed({ offer, price }, unsettled) }, key);
      },
      () => fill(form, { sending: text('sending.trouble') }),
      before,
    );
    keepSending(false);
    freeze(form, false);
    const code = created.reservation_code;
    keepKnown(code, { token: created.access_token, digest });
    go(`?reservation=${code}${replayed ? '&replayed' : ''}`);
  } catch (error) {
    refused(form, error);
  }
}

/**
 * Return the quote of a sale. A key that was used before needs none: the API refuses an unused key without one.
 * @param {import('./api.js').Sale} sale @param {boolean} unsettled
 */
async function signed(sale, unsettled) {
  try {
    return await quote(sale);
  } catch (error) {
    if (!unsettled) throw new NotSentError('', { cause: error });
    return undefined;
  }
}

/**
 * Show why nothing was reserved. An unsettled request may have reserved: the form stays as it was sent.
 * @param {HTMLFormElement} form @param {unknown} error
 */
function refused(form, error) {
  const unsettled = error instanceof UnsettledError;
  keepSending(unsettled);
  freeze(form, unsettled);
  fill(form, { sending: undefined });
  if (unsettled) fill(form, { pay: text('checkout.again') });
  const faults = faultsOf(form, error);
  if (faults.some(({ href }) => href)) list(form, faults, text('problem.title'), sentence(error));
  else if (faults.length) list(form, faults, text('problem.fields'));
  else if (unsettled) list(form, [], text('sending.unsettled'), `${sentence(error)} ${text('sending.kept')}`);
  else list(form, [], text('problem.title'), sentence(error));
}

/**
 * Show faults at their fields and above the form, and move the focus there.
 * @param {HTMLFormElement} form @param {import('./faults.js').Fault[]} faults @param {string} title @param {string} [reason]
 */
function list(form, faults, title, reason) {
  markFields(faults);
  fill(form, { 'problem-title': title, 'problem-text': reason });
  part(form, 'problem-list').replaceChildren(...faults.map(listed));
  const problem = part(form, 'problem');
  problem.hidden = false;
  problem.focus();
}

/** @param {import('./faults.js').Fault} fault */
function listed({ field, message, href = '?' }) {
  const item = document.createElement('li');
  const link = document.createElement('a');
  link.href = field ? `#${field.id}` : href;
  link.textContent = [field && labelOf(field), message].filter(Boolean).join(': ');
  link.onclick = (event) => {
    if (!field) return;
    event.preventDefault();
    field.focus();
  };
  item.append(link);
  return item;
}

/** @param {HTMLElement} field */
const labelOf = (field) => document.querySelector(`label[for="${field.id}"]`)?.textContent?.trim();

/** @param {HTMLFormElement} form @param {boolean} frozen */
function freeze(form, frozen) {
  for (const fieldset of form.querySelectorAll('fieldset')) fieldset.disabled = frozen;
  if (!frozen) fill(form, { sending: undefined });
}

/** @param {HTMLFormElement} form @param {string} name */
const field = (form, name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));

/** @param {HTMLFormElement} form @param {Draft} draft */
function restore(form, { customer, offer, card }) {
  field(form, '/customer/full_name').value = customer.full_name;
  field(form, '/customer/email').value = customer.email;
  field(form, '/customer/phone').value = customer.phone;
  field(form, '/offer/starts_on').value = offer.starts_on;
  field(form, '/offer/starts_on').min = new Date().toISOString().slice(0, 10);
  field(form, '/payment_token').value = card;
}

/**
 * Return the draft with the values of the form. The last day follows the first one.
 * @param {HTMLFormElement} form @param {Draft} chosen
 * @returns {Draft}
 */
function typed(form, chosen) {
  const starts_on = field(form, '/offer/starts_on').value;
  const ends_on = starts_on && new Date(Date.parse(starts_on) + nights(chosen.offer) * DAY).toISOString().slice(0, 10);
  return {
    ...chosen,
    offer: { ...chosen.offer, starts_on, ends_on },
    customer: {
      full_name: field(form, '/customer/full_name').value,
      email: field(form, '/customer/email').value,
      phone: field(form, '/customer/phone').value,
    },
    card: field(form, '/payment_token').value,
  };
}

/** @param {HTMLElement} root @param {Draft} draft */
function summarize(root, { offer, price }) {
  const { name, room } = named(offer.description);
  picture(root, offer.offer_id);
  fill(root, {
    name,
    room: [room, counted('nights', nights(offer))].filter(Boolean).join(' · '),
    arrival: offer.starts_on && day(offer.starts_on),
    departure: offer.ends_on && day(offer.ends_on),
    guests: counted('guests', offer.guests),
    price: money(price),
    pay: text('checkout.pay', { price: money(price) }),
  });
  const hint = /** @type {HTMLElement} */ (document.getElementById('starts_on-hint'));
  hint.textContent = offer.ends_on ? text('field.starts_on.hint', { day: day(offer.ends_on) }) : '';
}

/** @param {HTMLFormElement} form */
function listCards(form) {
  const groups = CARDS.map(([label, cards]) => {
    const group = document.createElement('optgroup');
    group.label = text(label);
    const options = cards.map((card) => new Option(text(/** @type {import('./texts.js').Key} */ (`card.${card}`)), card));
    group.append(...options);
    return group;
  });
  part(form, 'card').replaceChildren(...groups);
}
