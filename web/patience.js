/** Waits between requests, and repeats of a request whose answer is missing. */

import { NoAnswerError, NotSentError, ProblemError, UnsettledError } from './api.js';

const REPEATS = 5;
const LONGEST = 60; // seconds that a traveler waits at a button
/** Refusals that look the key up: an earlier request with it did nothing. The others speak of themselves only. */
const SETTLING = ['validation_failed', 'payment_in_progress', 'not_cancellable'];

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
 * Return whether an earlier request may have been carried out, after one more with its key failed.
 * @param {boolean} before @param {unknown} error
 */
function isUnsettled(before, error) {
  if (error instanceof NoAnswerError) return true;
  if (!(error instanceof ProblemError)) return before;
  const { code, effect } = error.problem;
  return effect !== 'none' || (before && !SETTLING.includes(code));
}

/**
 * Send until an answer comes, some times at most. The sender must use one idempotency key. A long wait is an error.
 * @template Answer
 * @param {(unsettled: boolean) => Promise<Answer>} send learns whether an earlier request may have been carried out
 * @param {() => void} [onTrouble]
 * @param {boolean} [unsettled] whether one of before this call may have been
 * @returns {Promise<Answer>}
 * @throws {UnsettledError} `cause` is the last failure, which may be a refusal
 */
export async function insist(send, onTrouble, unsettled = false) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await send(unsettled);
    } catch (failure) {
      const unsent = failure instanceof NotSentError;
      const error = unsent ? failure.cause : failure;
      unsettled = unsent ? unsettled : isUnsettled(unsettled, error);
      const seconds = secondsToWait(error, failures);
      if (seconds === undefined || seconds > LONGEST || failures === REPEATS) {
        throw unsettled ? new UnsettledError('', { cause: error }) : error;
      }
      onTrouble?.();
      await pause(seconds);
    }
  }
}
