/** The way back: a mail's link, or a request for one. */

import { lookup } from './api.js';
import { fill, part } from './dom.js';
import { clearFaults, faultsOf, markFields, sentence } from './faults.js';
import { insist } from './patience.js';
import { known } from './session.js';
import { text } from './texts.js';

/** @typedef {import('./main.js').View} View */

/** Wait for a click before the token of a mail's link is used. @type {View} */
export async function showOpen(root, { go, query }) {
  const code = query.get('code') ?? '';
  if (!known(code)) return go(`?view=find&code=${encodeURIComponent(code)}`, { replace: true });
  fill(root, { code });
  part(root, 'open').onclick = () => go(`?reservation=${code}`, { replace: true });
}

/** @type {View} */
export async function showFind(root, { query }) {
  const form = /** @type {HTMLFormElement} */ (root.querySelector('form'));
  const code = /** @type {HTMLInputElement} */ (form.elements.namedItem('/reservation_code'));
  const email = /** @type {HTMLInputElement} */ (form.elements.namedItem('/email'));
  code.value ||= query.get('code') ?? '';
  clearFaults(form);
  fill(form, { sent: undefined });
  form.onsubmit = async (event) => {
    event.preventDefault();
    clearFaults(form);
    fill(form, { sent: undefined });
    try {
      await insist(() => lookup(code.value, email.value));
      fill(form, { sent: text('find.sent') });
    } catch (error) {
      const faults = faultsOf(form, error);
      markFields(faults);
      if (faults.length) faults[0]?.field?.focus();
      else fill(form, { problem: sentence(error) });
    }
  };
}
