/**
 * Keep one idempotency key per content of the form, for all tabs.
 *
 * The same content gets the same key and the same payment token, so that a double click, a reload, the back button and
 * a second tab all end at one reservation. Another content is another request, with a key of its own. The store has the
 * content's digest only: no personal data, and no token that opens a reservation.
 */

/** @typedef {{digest: string, key: string, payment_token: string, at: number}} Attempt */

const STORE = 'attempts';
const LASTS = 30 * 24 * 60 * 60 * 1000; // as long as the API keeps a key

/** @returns {Attempt[]} */
function stored() {
  /** @type {Attempt[]} */
  const attempts = JSON.parse(localStorage.getItem(STORE) ?? '[]');
  return attempts.filter((attempt) => Date.now() - attempt.at < LASTS);
}

/** @param {Attempt[]} attempts */
const store = (attempts) => localStorage.setItem(STORE, JSON.stringify(attempts));

/** @param {object} content */
async function digestOf(content) {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(content)));
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * Return the attempt of this content, a new one if there is none.
 * @param {object} content
 * @param {() => string} tokenize makes a payment token
 * @returns {Promise<Attempt>}
 */
export async function attemptFor(content, tokenize) {
  const digest = await digestOf(content);
  return navigator.locks.request(STORE, () => {
    const attempts = stored();
    const known = attempts.find((attempt) => attempt.digest === digest);
    if (known) return known;
    const begun = { digest, key: crypto.randomUUID(), payment_token: tokenize(), at: Date.now() };
    store([...attempts, begun]);
    return begun;
  });
}

/**
 * Forget an attempt, because the traveler wants another reservation like it.
 * @param {string | undefined} digest
 */
export function forget(digest) {
  return navigator.locks.request(STORE, () => store(stored().filter((attempt) => attempt.digest !== digest)));
}
