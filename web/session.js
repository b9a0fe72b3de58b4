/** Facts that this tab remembers until it is closed. */

/** @typedef {import('./api.js').Sale} Sale */
/** @typedef {{full_name: string, email: string, phone: string}} Customer as it was typed */
/** @typedef {Sale & {customer: Customer, card: string}} Draft the content of the form */
/** @typedef {{token: string, digest?: string}} Known a reservation that this tab may read */

/** @param {string} name */
function item(name) {
  const found = sessionStorage.getItem(name);
  return found === null ? undefined : JSON.parse(found);
}

/** @param {string} name @param {unknown} value */
const keep = (name, value) => sessionStorage.setItem(name, JSON.stringify(value));

/** @returns {Draft | undefined} */
export const draft = () => item('draft');

/** @param {Draft} changed */
export const keepDraft = (changed) => keep('draft', changed);

/** Return whether a request left whose answer did not come. Its form stays as it was sent. */
export const isSending = () => Boolean(item('sending'));

/** @param {boolean} sending */
export const keepSending = (sending) => keep('sending', sending);

/** @param {string} code @returns {Known | undefined} */
export const known = (code) => item(`reservation ${code}`);

/** @param {string} code @param {Known} facts */
export const keepKnown = (code, facts) => keep(`reservation ${code}`, facts);

/**
 * Return the key of the cancellation of a reservation, the same one for every click.
 * @param {string} code
 */
export function cancellationKey(code) {
  const name = `cancellation ${code}`;
  if (!item(name)) keep(name, crypto.randomUUID());
  return item(name);
}

/**
 * Keep the token of a mail's link, which is in the fragment. Return its reservation's code.
 * @returns {string | undefined}
 */
export function takeLink() {
  const link = new URLSearchParams(location.hash.slice(1));
  const [code, token] = [link.get('code'), link.get('token')];
  if (!code || !token) return undefined;
  keepKnown(code, { token });
  return code;
}
