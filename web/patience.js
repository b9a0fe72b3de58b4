/** Waits between requests, and repeats of a request whose answer is missing. */

import { NoAnswerError, ProblemError } from './api.js';

const REPEATS = 5;
const LONGEST = 60; // seconds that a traveler waits at a button

/**
 * Return the seconds after which the same request may be sent again, or `undefined` if it would be in vain.
 * @param {unknown} error
 * @param {number} failures so far, without this one
 */
export function secondsToWait(error, failures) {
  const backoff = Math.min(60, 2 ** failures);
  if (error instanceof NoAnswerError) return backoff;
  if (error instanceof ProblemError && error.problem.retryable) return error.problem.retry_after_s ?? backoff;
  return undefined;
}

/**
 * Wait, but not once the connection is back. The fifth to either side keeps many pages from asking at once.
 * @param {number} seconds
 */
export function pause(seconds) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      removeEventListener('online', wake);
      resolve(undefined);
    };
    const timer = setTimeout(wake, seconds * 1000 * (0.8 + 0.4 * Math.random()));
    addEventListener('online', wake);
  });
}

/**
 * Send until an answer comes, some times at most. The sender must use one idempotency key. A long wait is an error.
 * @template Answer
 * @param {() => Promise<Answer>} send
 * @param {() => void} [onTrouble]
 * @returns {Promise<Answer>}
 */
export async function insist(send, onTrouble) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await send();
    } catch (error) {
      const seconds = secondsToWait(error, failures);
      if (seconds === undefined || seconds > LONGEST || failures === REPEATS) throw error;
      onTrouble?.();
      await pause(seconds);
    }
  }
}
