/** A reservation as it is now: what happened, what comes next, its voucher, its cancellation. */

import { cancel, timeline, voucher } from './api.js';
import { forget } from './attempts.js';
import { announce, fill, part } from './dom.js';
import { sentence } from './faults.js';
import { follow } from './follow.js';
import { nights } from './offers.js';
import { insist } from './patience.js';
import { cancellationKey, keepKnown, known } from './session.js';
import { clock, counted, day, moment, money, text, textOf } from './texts.js';

/** @typedef {import('./api.js').Reservation} Reservation */
/** @typedef {import('./main.js').View} View */

const MAIL_AFTER = 2 * 60 * 1000;
/** An address or a phone number, as the mails link them. */
const CONTACT = /[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|\+[0-9](?:[ .-]?[0-9]){6,14}/g;
const RETRYABLE = ['RECHAZADA', 'EXPIRADA'];

/** @type {View} */
export async function showReservation(root, { go, query, left }) {
  const code = query.get('reservation') ?? '';
  const found = known(code);
  if (!found) return go(`?view=find&code=${encodeURIComponent(code)}`, { replace: true });
  const access = { code, token: found.token };
  const article = /** @type {HTMLElement} */ (root.querySelector('article'));
  /** @type {Reservation | undefined} */
  let latest;

  let watching = new AbortController();

  const watch = async () => {
    watching.abort(); // one at a time
    watching = new AbortController();
    try {
      await follow(access, tell, AbortSignal.any([left, watching.signal]));
    } catch (error) {
      fault(error);
    }
  };
  /** @param {import('./follow.js').News} news */
  const tell = ({ reservation, offline, over }) => {
    const before = latest?.status;
    latest = reservation ?? latest;
    fill(article, { fault: offline ? text('offline') : undefined });
    if (!latest) return;
    paint(article, latest, over);
    if (before !== latest.status) announce(part(article, 'headline').textContent ?? '');
    if (reservation && history.open) void listEvents();
  };
  /** @param {unknown} error */
  const fault = (error) => fill(article, { fault: sentence(error) });
  const listEvents = async () => {
    try {
      const { events } = await insist(() => timeline(access));
      part(article, 'events').replaceChildren(...events.map(eventLine));
    } catch (error) {
      fault(error);
    }
  };
  const anew = async () => {
    await forget(found.digest);
    go('?view=checkout');
  };
  /** @param {string} name @param {() => void} act */
  const on = (name, act) => (part(root, name).onclick = act);

  const history = /** @type {HTMLDetailsElement} */ (part(article, 'history'));
  history.open = false;
  history.ontoggle = () => void (history.open && listEvents());
  part(root, 'replayed').hidden = !(query.has('replayed') && found.digest);
  on('again', anew);
  on('retry', anew);
  on('another', () => go('?'));
  on('refresh', watch);
  on('voucher', async () => {
    try {
      location.assign((await insist(() => voucher(access))).url);
    } catch (error) {
      fault(error);
    }
  });
  on('cancel', async () => {
    if (!latest || !(await isSure(root, latest))) return;
    try {
      await insist(() => cancel(access, cancellationKey(code)), () => fill(article, { fault: text('offline') }));
      void watch();
    } catch (error) {
      fault(error);
    }
  });
  document.addEventListener('visibilitychange', () => document.hidden || void watch(), { signal: left });
  blank(article, code);
  await watch();
}

/** @param {HTMLElement} article @param {string} code */
function blank(article, code) {
  article.removeAttribute('data-status');
  for (const name of ['voucher', 'refresh', 'retry', 'cancel', 'steps', 'history', 'mail']) part(article, name).hidden = true;
  fill(article, { code, headline: '…', status: undefined, explanation: undefined, refund: undefined, support: undefined });
  article.classList.add('blank');
}

/** @param {HTMLElement} article @param {Reservation} reservation @param {boolean} over nothing will change any more */
function paint(article, reservation, over) {
  const { status, offer, price, refund, documents, progress } = reservation;
  const waiting = status === 'EN PROCESO';
  const retried = RETRYABLE.includes(status) && Boolean(known(reservation.reservation_code)?.digest);
  article.classList.remove('blank');
  article.dataset.status = status;
  fill(article, {
    status: text(`status.${status}`),
    headline: text(`headline.${status}`),
    explanation: over && waiting ? text('stopped') : explanation(reservation),
    refund: refund ? text(`refund.${refund.status}`, { sum: money(refund) }) : undefined,
    locator: reservation.supplier_locator ?? undefined,
    offer: offer.description,
    price: money(price),
    arrival: day(offer.starts_on),
    departure: `${day(offer.ends_on)} (${counted('nights', nights(offer))})`,
    deadline: reservation.cancellable_until ? moment(reservation.cancellable_until) : undefined,
    support: undefined,
  });
  part(article, 'locator-row').hidden = !reservation.supplier_locator;
  part(article, 'deadline-row').hidden = !reservation.cancellable_until;
  part(article, 'mail').hidden = !(waiting && Date.now() - Date.parse(reservation.created_at) > MAIL_AFTER);
  part(article, 'voucher').hidden = !documents.length;
  part(article, 'cancel').hidden = !reservation._links.cancel;
  part(article, 'retry').hidden = !retried;
  part(article, 'refresh').hidden = !(over && waiting);
  part(article, 'history').hidden = false;
  if (reservation.requires_support) support(article, reservation.support_contact);
  steps(article, waiting, progress);
}

/** @param {Reservation} reservation */
function explanation({ status, documents, closed_reason }) {
  if (status === 'CONFIRMADA' && !documents.length) return text('explanation.CONFIRMADA.papers');
  return (closed_reason && textOf(`reason.${closed_reason}`)) || text(`explanation.${status}`);
}

/** @param {HTMLElement} article @param {boolean} waiting @param {Reservation['progress']} progress */
function steps(article, waiting, progress) {
  const list = part(article, 'steps');
  list.hidden = !waiting;
  for (const step of list.querySelectorAll('li')) {
    const value = progress[/** @type {keyof typeof progress} */ (step.dataset.step)];
    step.dataset.value = value;
    const told = /** @type {HTMLElement} */ (step.querySelector('small'));
    told.textContent = text(`progress.${value}`);
  }
}

/** @param {HTMLElement} article @param {string | undefined} contact any text, with addresses and phone numbers */
function support(article, contact) {
  fill(article, { support: contact ? `${text('support')} ${text('support.contact')} ` : text('support') });
  if (!contact) return;
  const notice = part(article, 'support');
  let end = 0;
  for (const { 0: found, index } of contact.matchAll(CONTACT)) {
    const link = document.createElement('a');
    link.href = found.includes('@') ? `mailto:${found}` : `tel:${found.replace(/[^+0-9]/g, '')}`;
    link.textContent = found;
    notice.append(contact.slice(end, index), link);
    end = index + found.length;
  }
  notice.append(contact.slice(end));
}

/** @param {import('./api.js').Schemas['Timeline']['events'][number]} event */
function eventLine({ occurred_at, message }) {
  const item = document.createElement('li');
  const time = document.createElement('time');
  time.dateTime = occurred_at;
  time.textContent = clock(occurred_at);
  item.append(time, message);
  return item;
}

/** Ask before a cancellation. @param {HTMLElement} root @param {Reservation} reservation @returns {Promise<boolean>} */
function isSure(root, reservation) {
  const dialog = /** @type {HTMLDialogElement} */ (root.querySelector('dialog'));
  fill(dialog, { 'sure-text': text('sure.text', { sum: money(reservation.price) }) });
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === 'yes');
  });
}
