/** Start the page, and show the view that the address names. */

import { connect } from './api.js';
import { showCheckout } from './checkout.js';
import { part, translate } from './dom.js';
import { showFind, showOpen } from './find.js';
import { showOffers } from './offers.js';
import { showReservation } from './reservation.js';
import { takeLink } from './session.js';
import { language, speak, text } from './texts.js';

/** @typedef {(search: string, options?: {replace?: boolean}) => Promise<void>} Go shows another view */
/** @typedef {{go: Go, query: URLSearchParams, left: AbortSignal}} Visit `left` is aborted when another view is shown */
/** @typedef {(root: HTMLElement, visit: Visit) => Promise<void>} View fills its section of index.html */

/** @type {Record<string, View>} */
const VIEWS = { offers: showOffers, checkout: showCheckout, reservation: showReservation, open: showOpen, find: showFind };
/** @type {Record<string, import('./texts.js').Key>} */
const TITLES = { checkout: 'checkout.title', reservation: 'open.title', open: 'open.title', find: 'find.title' };
let leaving = new AbortController();

/** @type {Go} */
async function go(search, { replace = false } = {}) {
  history[replace ? 'replaceState' : 'pushState'](null, '', location.pathname + search);
  await show({ moved: true });
}

/** @param {{moved: boolean}} how after a move, the heading takes the focus */
async function show({ moved }) {
  leaving.abort();
  leaving = new AbortController();
  const query = new URLSearchParams(location.search);
  const asked = query.has('reservation') ? 'reservation' : (query.get('view') ?? 'offers');
  const name = asked in VIEWS ? asked : 'offers';
  for (const section of document.querySelectorAll('main > section')) {
    /** @type {HTMLElement} */ (section).hidden = section.id !== name;
  }
  const root = /** @type {HTMLElement} */ (document.getElementById(name));
  document.title = `${text(TITLES[name] ?? 'offers.title')} · Reservas`;
  if (moved) {
    scrollTo(0, 0);
    root.querySelector('h1')?.focus();
  }
  await VIEWS[name]?.(root, { go, query, left: leaving.signal });
}

function setLanguage() {
  document.documentElement.lang = language();
  for (const button of document.querySelectorAll('.languages button')) {
    button.setAttribute('aria-pressed', String(button.getAttribute('lang') === language()));
  }
  translate(document);
}

document.addEventListener('click', (event) => {
  const target = /** @type {Element} */ (event.target);
  const link = target.closest('a[data-go]');
  const choice = target.closest('.languages button');
  if (link) {
    event.preventDefault();
    void go(link.getAttribute('href') ?? '?');
  } else if (choice) {
    speak(choice.getAttribute('lang') ?? 'es');
    setLanguage();
    void show({ moved: false });
  }
});
addEventListener('popstate', () => void show({ moved: true }));
addEventListener('hashchange', () => openLink() && void show({ moved: true }));

/** Take the token of a mail's link out of the address bar. Return whether there was one. */
function openLink() {
  const code = takeLink();
  if (code) history.replaceState(null, '', `${location.pathname}?view=open&code=${code}`);
  return Boolean(code);
}

async function start() {
  openLink();
  setLanguage();
  try {
    await connect();
  } catch {
    const offers = /** @type {HTMLElement} */ (document.getElementById('offers'));
    offers.hidden = false;
    part(offers, 'fault').textContent = text('fault.settings');
    part(offers, 'fault').hidden = false;
    return;
  }
  await show({ moved: false });
}

await start();
