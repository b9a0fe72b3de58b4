/** Friendly words for problems, at the fields that they are about. */

import { NoAnswerError, NotSoldError, ProblemError, UnsettledError } from './api.js';
import { part } from './dom.js';
import { text, textOf } from './texts.js';

/** @typedef {{field: HTMLElement | undefined, message: string, href?: string}} Fault `href` is for one without a field */

/** Return one sentence for the traveler. @param {unknown} error */
export function sentence(error) {
  if (error instanceof NoAnswerError) return text('problem.silence');
  if (error instanceof UnsettledError) return unsettled(error.cause);
  if (error instanceof NotSoldError) return text('problem.price');
  if (!(error instanceof ProblemError)) throw error;
  return textOf(`problem.${error.problem.code}`) ?? text('problem.other');
}

/** Name the obstacle, without saying that nothing was done. @param {unknown} last */
function unsettled(last) {
  if (last instanceof NoAnswerError) return text('problem.silence');
  return (last instanceof ProblemError && textOf(`problem.${last.problem.code}`)) || text('problem.unsettled');
}

/**
 * Return the faults of a refused form. The name of each field is the JSON pointer of its member.
 * @param {HTMLFormElement} form @param {unknown} error
 * @returns {Fault[]}
 */
export function faultsOf(form, error) {
  if (!(error instanceof ProblemError)) return [];
  const other = error.problem.reservation_code;
  if (other) return [{ field: undefined, message: text('problem.see', { code: other }), href: `?reservation=${other}` }];
  return error.problem.errors.map(({ pointer, code, message }) => {
    const found = form.elements.namedItem(pointer);
    const field = found instanceof HTMLElement ? found : undefined;
    return { field, message: field ? (textOf(`fault.${code}`) ?? message) : text('problem.price') };
  });
}

/** Return the faults of fields that are needed and empty. @param {HTMLFormElement} form @returns {Fault[]} */
export function emptyFields(form) {
  const fields = /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('[required]'));
  const empty = [...fields].filter((field) => !field.value.trim());
  return empty.map((field) => ({ field, message: text('fault.missing') }));
}

/** Remove all faults of a form. @param {HTMLFormElement} form */
export function clearFaults(form) {
  part(form, 'problem').hidden = true;
  for (const field of form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid');
  for (const fault of form.querySelectorAll('.fault')) fault.textContent = '';
}

/**
 * Write each fault at its field.
 * @param {Fault[]} faults
 */
export function markFields(faults) {
  for (const { field, message } of faults) {
    field?.setAttribute('aria-invalid', 'true');
    const place = field && document.getElementById(`${field.id}-fault`);
    if (place) place.textContent = message;
  }
}
