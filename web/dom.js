/** Small tools for the elements of index.html. */

import { text } from './texts.js';

/**
 * Return the element that `data-part` names.
 * @param {ParentNode} root @param {string} name
 */
export function part(root, name) {
  const found = /** @type {HTMLElement | null} */ (root.querySelector(`[data-part="${name}"]`));
  if (!found) throw new Error(`index.html has no part ${name}`);
  return found;
}

/**
 * Write texts into parts. A part without a text is hidden.
 * @param {ParentNode} root @param {Record<string, string | undefined>} texts
 */
export function fill(root, texts) {
  for (const [name, content] of Object.entries(texts)) {
    const element = part(root, name);
    if (element.textContent !== (content ?? '')) element.textContent = content ?? '';
    element.hidden = !content;
  }
}

/** Write the texts of index.html in the current language. @param {ParentNode} root */
export function translate(root) {
  for (const element of root.querySelectorAll('[data-text]')) {
    element.textContent = text(/** @type {import('./texts.js').Key} */ (element.getAttribute('data-text')));
  }
  for (const element of root.querySelectorAll('[data-label]')) {
    const key = /** @type {import('./texts.js').Key} */ (element.getAttribute('data-label'));
    element.setAttribute('aria-label', text(key));
  }
}

/** Say a text to screen readers. @param {string} content */
export function announce(content) {
  const announcer = document.getElementById('announcer');
  if (announcer) announcer.textContent = content;
}

/**
 * Show a picture for an offer.
 * @param {ParentNode} root @param {string} offerId
 */
export function picture(root, offerId) {
  const known = ['HTL-MAD-001', 'HTL-MAR-002', 'HTL-SUITE-5STARS'].includes(offerId);
  root.querySelector('use')?.setAttribute('href', `pictures.svg#${known ? offerId : 'any'}`);
}

/** Split the description of an offer into a name and the rest. @param {string} description */
export function named(description) {
  const [name = '', ...rest] = description.split(', ');
  return { name, room: rest.join(', ') };
}
