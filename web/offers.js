/** The hotels to choose from, with their prices. */

import { offers } from './api.js';
import { fill, named, part, picture } from './dom.js';
import { draft, keepDraft, keepSending } from './session.js';
import { counted, money, text } from './texts.js';
import { TRIALS } from './trials.js';

/** @typedef {import('./api.js').Sale} Sale */
/** @typedef {import('./main.js').View} View */

const DAY = 24 * 60 * 60 * 1000;

/** @param {Sale['offer']} offer */
export const nights = (offer) => (Date.parse(offer.ends_on) - Date.parse(offer.starts_on)) / DAY;

/** @type {View} */
export async function showOffers(root, { go }) {
  /** @param {Sale} sale */
  const choose = (sale) => {
    const customer = draft()?.customer ?? { full_name: '', email: '', phone: '' };
    keepDraft({ ...sale, customer, card: 'tok_ok' });
    keepSending(false);
    go('?view=checkout');
  };
  /** @type {Sale[]} */
  let catalogue = [];
  try {
    catalogue = await offers();
  } catch {
    fill(root, { fault: text('fault.offers') });
    return;
  }
  fill(root, { fault: undefined });
  part(root, 'catalogue').replaceChildren(...catalogue.map((sale) => card(root, sale, choose)));
  const [first] = catalogue;
  if (first) part(root, 'trials').replaceChildren(...TRIALS.map((prefix) => trial(prefix, first, choose)));
}

/** @param {HTMLElement} root @param {Sale} sale @param {(sale: Sale) => void} choose */
function card(root, sale, choose) {
  const template = /** @type {HTMLTemplateElement} */ (root.querySelector('template'));
  const item = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
  const { name, room } = named(sale.offer.description);
  picture(item, sale.offer.offer_id);
  fill(item, {
    name,
    room: [room, counted('guests', sale.offer.guests)].filter(Boolean).join(' · '),
    price: money(sale.price),
    nights: counted('nights', nights(sale.offer)),
  });
  const button = /** @type {HTMLButtonElement} */ (item.querySelector('button'));
  button.textContent = text('offers.choose', { name });
  button.addEventListener('click', () => choose(sale));
  return item;
}

/** @param {string} prefix @param {Sale} model @param {(sale: Sale) => void} choose */
function trial(prefix, model, choose) {
  const item = document.createElement('li');
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'plain';
  button.dataset.trial = prefix;
  button.textContent = text(/** @type {import('./texts.js').Key} */ (`trial.${prefix}`));
  const description = `Hotel ${prefix}, ${button.textContent.toLowerCase()}`;
  const offer = { ...model.offer, offer_id: `${prefix}-MAD-001`, description };
  button.addEventListener('click', () => choose({ offer, price: { amount: '90.00', currency: 'EUR' } }));
  item.append(button);
  return item;
}
