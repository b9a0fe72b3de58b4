/** Follow a reservation until nothing about it will change. */

import { read } from './api.js';
import { pause, secondsToWait } from './patience.js';

/** @typedef {import('./api.js').Reservation} Reservation */
/** @typedef {{reservation?: Reservation, offline: boolean, over: boolean}} News */

const PATIENCE = 30 * 60 * 1000; // after that, mails and the traveler's own click are enough

/**
 * Read as often as `Retry-After` says, until an answer has none, and tell each reading.
 * @param {import('./api.js').Access} access
 * @param {(news: News) => void} tell
 * @param {AbortSignal} left aborted when the page shows something else
 * @throws {ProblemError} the reservation cannot be read
 */
export async function follow(access, tell, left) {
  const end = Date.now() + PATIENCE;
  let failures = 0;
  let etag;
  while (!left.aborted) {
    let seconds;
    try {
      const answer = await read(access, etag);
      if (left.aborted) return;
      ({ etag = etag, retryAfter: seconds } = answer);
      failures = 0;
      tell({ reservation: answer.reservation, offline: false, over: !seconds });
      if (!seconds) return;
    } catch (error) {
      seconds = secondsToWait(error, failures++);
      if (left.aborted) return;
      if (!seconds) throw error;
      tell({ offline: true, over: false });
    }
    if (Date.now() > end) return tell({ offline: false, over: true });
    await pause(seconds);
  }
}
