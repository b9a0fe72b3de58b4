/** Calls to the Reservations API and to the offers service. The types are generated from their contract. */

import { language } from './texts.js';

/** @typedef {import('./contract.js').components['schemas']} Schemas */
/** @typedef {Schemas['Reservation']} Reservation */
/** @typedef {Schemas['CreatedReservation']} CreatedReservation */
/** @typedef {Schemas['CreateReservation']} CreateReservation */
/** @typedef {Schemas['Problem']} Problem */
/** @typedef {{offer: Schemas['Offer'], price: Schemas['Money']}} Sale */
/** @typedef {{code: string, token: string}} Access a reservation, and the token that opens it */

const TIMEOUT = 30_000;

/** @type {{api_url: string, api_key: string, offers_url: string, client_id: string}} */
let settings;

export async function connect() {
  settings = await (await send('settings.json')).json();
}

/** The service answered, and refused. */
export class ProblemError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.code);
    this.problem = problem;
  }
}

/** No answer came. Nobody knows whether the request arrived. */
export class NoAnswerError extends Error {}

/** An answer to this key was lost or unsure, and no later one settled it: the request may have been carried out. */
export class UnsettledError extends Error {}

/** What a request needs first failed, so the request was not sent. `cause` is that failure. */
export class NotSentError extends Error {}

/** The offers service does not sell that, or not at that price. */
export class NotSoldError extends Error {}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 */
async function send(url, options) {
  let response;
  try {
    response = await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT), ...options });
  } catch {
    throw new NoAnswerError();
  }
  if (response.ok || response.status === 304) return response;
  const problem = await response.json().catch(() => undefined);
  if (problem?.code) throw new ProblemError(problem);
  throw response.status < 500 ? new NotSoldError() : new NoAnswerError();
}

/** @param {string} path @param {{method?: string, token?: string, headers?: Record<string, string>, body?: object}} options */
function call(path, { method = 'GET', token, headers, body }) {
  return send(`${settings.api_url}/v1${path}`, {
    method,
    headers: {
      'x-api-key': settings.api_key,
      'Accept-Language': language(),
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(body && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    body: body && JSON.stringify(body),
  });
}

/** @returns {Promise<Sale[]>} */
export async function offers() {
  return (await (await send(`${settings.offers_url}/offers`)).json()).offers;
}

/**
 * Return offer and price, signed by the offers service. The signature lasts half an hour.
 * @param {Sale} sale
 * @returns {Promise<string>}
 */
export async function quote({ offer, price }) {
  const body = JSON.stringify({ offer, price, client_id: settings.client_id });
  return (await (await send(`${settings.offers_url}/quotes`, { method: 'POST', body })).json()).quote;
}

/**
 * Ask for a reservation. The same key never makes a second one, however often this is repeated.
 * @param {CreateReservation} body
 * @param {string} key
 */
export async function create(body, key) {
  const answer = await call('/reservations', { method: 'POST', headers: { 'Idempotency-Key': key }, body });
  /** @type {CreatedReservation} */
  const created = await answer.json();
  return { created, replayed: answer.headers.has('Idempotency-Replayed') };
}

/**
 * Read a reservation. `reservation` is missing if it is still the one of `etag`.
 * @param {Access} access
 * @param {string} [etag]
 * @returns {Promise<{reservation?: Reservation, etag?: string, retryAfter?: number}>} `retryAfter` is missing once
 *   nothing will change any more
 */
export async function read({ code, token }, etag) {
  const answer = await call(`/reservations/${code}`, { token, headers: etag ? { 'If-None-Match': etag } : {} });
  return {
    reservation: answer.status === 304 ? undefined : await answer.json(),
    etag: answer.headers.get('ETag') ?? undefined,
    retryAfter: Number(answer.headers.get('Retry-After')) || undefined,
  };
}

/** @param {Access} access @returns {Promise<Schemas['Timeline']>} */
export async function timeline({ code, token }) {
  return (await call(`/reservations/${code}/timeline`, { token })).json();
}

/**
 * Return the voucher's link, which lasts a minute. A page navigates to it: it cannot fetch it.
 * @param {Access} access
 * @returns {Promise<Schemas['VoucherLink']>}
 */
export async function voucher({ code, token }) {
  return (await call(`/reservations/${code}/voucher`, { token, headers: { Accept: 'application/json' } })).json();
}

/** @param {Access} access @param {string} key */
export async function cancel({ code, token }, key) {
  await call(`/reservations/${code}/cancel`, { method: 'POST', token, headers: { 'Idempotency-Key': key } });
}

/**
 * Ask for a mail with the link of a reservation. The answer does not tell whether there is one.
 * @param {string} code @param {string} email
 */
export async function lookup(code, email) {
  /** @type {Schemas['Lookup']} */
  const body = { reservation_code: code, email };
  await call('/reservations/lookup', { method: 'POST', body });
}
