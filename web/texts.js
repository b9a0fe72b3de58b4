/** Every text of the page, in Spanish and English, and the formats of dates and money. */

const es = {
  'skip': 'Saltar al contenido',
  'nav': 'Principal',
  'nav.offers': 'Hoteles',
  'nav.find': 'Mi reserva',
  'language': 'Idioma',
  'optional': '(opcional)',
  'footer': 'Página de referencia de la pila local. Los hoteles, las tarjetas y los cargos son de prueba.',
  'fault.settings': 'La pila local no responde. Arráncala con «make run» y recarga la página.',
  'fault.offers': 'No hemos podido cargar los hoteles. Comprueba tu conexión y recarga la página.',

  'offers.title': '¿Dónde quieres dormir?',
  'offers.lead': 'Elige un hotel. El precio que ves es el que pagas.',
  'offers.trials': 'Hoteles que fallan a propósito',
  'offers.trials.lead': 'Cada uno responde a su manera, para ver cómo lo cuenta la página.',
  'offers.choose': 'Elegir {name}',
  'trial.REJ': 'Rechaza la reserva',
  'trial.PEN': 'Tarda y confirma',
  'trial.TMO': 'Confirma sin contestar',
  'trial.FLK': 'Falla dos veces',
  'trial.LAT': 'No contesta y aparece tarde',
  'trial.TWI': 'Repite sin mirar la clave',
  'trial.CXL': 'Confirma y después cancela',
  'trial.NOC': 'No admite cancelar',

  'checkout.title': 'Tus datos y el pago',
  'checkout.traveler': 'Quién viaja',
  'checkout.payment': 'Pago',
  'checkout.pay': 'Pagar {price} y reservar',
  'checkout.again': 'Reintentar',
  'checkout.promise': 'Solo se cobra una vez, aunque pulses dos veces, recargues o se corte la conexión.',
  'field.full_name': 'Nombre y apellidos',
  'field.email': 'Correo electrónico',
  'field.email.hint': 'Aquí llegan la confirmación y el bono.',
  'field.phone': 'Teléfono',
  'field.starts_on': 'Día de llegada',
  'field.starts_on.hint': 'Salida: {day}',
  'field.card': 'Tarjeta de prueba',
  'field.card.hint': 'Aquí iría el formulario de la pasarela. Nosotros recibimos un vale, nunca el número.',
  'sending': 'Enviando tu reserva…',
  'sending.trouble': 'La respuesta no llega. Seguimos intentándolo con la misma clave: no se cobrará dos veces.',
  'sending.unsettled': 'No sabemos si tu reserva ha llegado',
  'sending.kept': 'Tus datos siguen aquí. Al reintentar no se cobrará dos veces.',

  'cards.usual': 'Lo habitual',
  'cards.trouble': 'El pago tropieza',
  'cards.wrong': 'El pago no cuadra',
  'cards.refund': 'La devolución tropieza',
  'card.tok_ok': 'Acepta el pago',
  'card.tok_declined': 'Rechaza el pago',
  'card.tok_pending': 'Tarda y acepta',
  'card.tok_timeout': 'Cobra sin contestar',
  'card.tok_flaky': 'Falla dos veces',
  'card.tok_lost': 'Falla siempre',
  'card.tok_late': 'Cobra sin contestar y aparece tarde',
  'card.tok_twice': 'Repite sin mirar la clave',
  'card.tok_undecided': 'No se decide',
  'card.tok_wrong_amount': 'Cobra de más',
  'card.tok_wrong_currency': 'Cobra en otra moneda',
  'card.tok_wrong_reference': 'Contesta con otro pago',
  'card.tok_refund_pending': 'Devuelve despacio',
  'card.tok_refund_rejected': 'No devuelve',
  'card.tok_refund_timeout': 'Devuelve sin contestar',
  'card.tok_refund_late_failure': 'Devuelve y después falla',

  'fact.code': 'Código de reserva',
  'fact.locator': 'Referencia del hotel',
  'fact.offer': 'Alojamiento',
  'fact.arrival': 'Llegada',
  'fact.departure': 'Salida',
  'fact.guests': 'Huéspedes',
  'fact.price': 'Precio total',
  'fact.deadline': 'Cancelación hasta',
  'nights.one': '{count} noche',
  'nights.other': '{count} noches',
  'guests.one': '{count} persona',
  'guests.other': '{count} personas',

  'status.EN PROCESO': 'En proceso',
  'status.CONFIRMADA': 'Confirmada',
  'status.RECHAZADA': 'Rechazada',
  'status.EXPIRADA': 'Expirada',
  'status.EN CANCELACION': 'En cancelación',
  'status.CANCELADA': 'Cancelada',
  'headline.EN PROCESO': 'Estamos confirmando tu reserva',
  'headline.CONFIRMADA': 'Tu reserva está confirmada',
  'headline.RECHAZADA': 'No hemos podido reservar',
  'headline.EXPIRADA': 'Se acabó el tiempo para pagar',
  'headline.EN CANCELACION': 'Estamos cancelando tu reserva',
  'headline.CANCELADA': 'Tu reserva está cancelada',
  'explanation.EN PROCESO': 'Suele tardar unos segundos. Esta página se actualiza sola.',
  'explanation.CONFIRMADA': 'Te esperamos. Lleva el bono el día de llegada.',
  'explanation.CONFIRMADA.papers': 'Estamos preparando tu bono.',
  'explanation.RECHAZADA': 'Puedes volver a intentarlo.',
  'explanation.EXPIRADA': 'El pago no se completó a tiempo y hemos soltado la habitación.',
  'explanation.EN CANCELACION': 'Avisamos al hotel y te devolvemos lo pagado. Esta página se actualiza sola.',
  'explanation.CANCELADA': 'El hotel ya no te espera.',
  'reason.payment_declined': 'Tu banco no aceptó el pago. Prueba con otra tarjeta.',
  'reason.not_available': 'El hotel ya no tiene sitio esos días. Prueba otras fechas u otro hotel.',
  'reason.cancelled_by_you': 'La cancelaste tú. El hotel ya no te espera.',
  'reason.cancelled_by_hotel': 'El hotel la ha cancelado. Sentimos el trastorno.',
  'reason.expired': 'El pago no se completó a tiempo y hemos soltado la habitación.',
  'refund.pending': 'Te devolvemos {sum}. Tu banco puede tardar hasta 10 días hábiles.',
  'refund.done': 'Te hemos devuelto {sum}.',
  'refund.failed': 'Una persona se ocupa de devolverte {sum}. No tienes que hacer nada.',
  'mail.promise': 'Está tardando más de lo normal. Puedes cerrar esta página: te avisaremos por correo.',
  'support': 'Una persona está revisando tu reserva.',
  'support.contact': 'Si quieres hablar con nosotros:',
  'steps': 'Pasos de la reserva',
  'step.code': 'Reserva recibida',
  'step.payment': 'Pago',
  'step.supplier': 'Hotel',
  'progress.pending': 'en marcha',
  'progress.done': 'hecho',
  'progress.failed': 'no salió',

  'voucher': 'Abrir el bono',
  'refresh': 'Actualizar',
  'retry': 'Intentarlo otra vez',
  'cancel': 'Cancelar la reserva',
  'another': 'Reservar otro hotel',
  'history': 'Historia de la reserva',
  'sure.title': '¿Cancelar esta reserva?',
  'sure.text': 'El hotel dejará de guardarte la habitación. Si ya has pagado los {sum}, te los devolveremos.',
  'sure.yes': 'Sí, cancelarla',
  'sure.no': 'No, conservarla',
  'replayed': 'Ya habías hecho esta reserva. No se ha cobrado otra vez.',
  'replayed.again': 'Quiero otra igual',
  'offline': 'Sin conexión. Lo seguimos intentando.',
  'stopped': 'Hemos dejado de actualizar esta página. Te avisaremos por correo.',

  'open.title': 'Tu reserva',
  'open.lead': 'Este enlace abre la reserva con este código. Nada cambia hasta que tú lo pidas.',
  'open.button': 'Ver mi reserva',
  'find.title': 'Recupera tu reserva',
  'find.lead': 'Te mandamos un enlace al correo con que reservaste.',
  'find.button': 'Enviarme el enlace',
  'find.sent': 'Si el código y el correo coinciden, el enlace llegará en unos minutos.',

  'problem.fields': 'Revisa estos datos',
  'problem.title': 'No hemos podido enviar tu reserva',
  'problem.price': 'El precio de esta oferta ha cambiado. Vuelve a elegirla.',
  'problem.unauthorized': 'Esta página no está bien configurada. Falta su clave, o no vale.',
  'problem.not_found': 'No encontramos esa reserva. Usa el enlace de tu correo o pide otro en «Mi reserva».',
  'problem.not_cancellable': 'Esta reserva ya no se puede cancelar.',
  'problem.payment_in_progress': 'Ya hay una reserva igual que está cobrando con esta tarjeta.',
  'problem.see': 'Ver la reserva {code}',
  'problem.rate_limited': 'Hay muchas peticiones ahora. Espera un minuto y vuelve a intentarlo.',
  'problem.quota_exceeded': 'Hoy ya no podemos atender más peticiones de esta página. Vuelve a intentarlo dentro de una hora.',
  'problem.other': 'Algo no ha ido bien y no se ha hecho nada. Vuelve a intentarlo en unos minutos.',
  'problem.unsettled': 'No sabemos si se ha hecho. Vuelve a intentarlo: no se hará dos veces.',
  'problem.silence': 'No hay conexión. Vuelve a intentarlo cuando la tengas.',
  'fault.missing': 'Escribe este dato.',
  'fault.too_short': 'Escribe este dato.',
  'fault.too_long': 'Es demasiado largo.',
  'fault.malformed': 'Tiene un formato que no entendemos.',
  'fault.malformed_email': 'Escribe un correo como ana@example.com.',
  'fault.malformed_phone': 'Escribe el teléfono con el prefijo del país, como +34 600 111 222.',
  'fault.unknown_country_code': 'Ningún país tiene ese prefijo. El de España es +34.',
  'fault.malformed_date': 'Elige un día.',
  'fault.in_the_past': 'Ese día ya pasó. Elige otro.',
  'fault.too_far_ahead': 'Aún no vendemos ese día. Elige otro más cercano.',
  'fault.web_address': 'Escribe solo el nombre, sin direcciones.',
  'fault.card_number': 'Parece un número de tarjeta. No lo escribas aquí.',
};

/** @type {typeof es} */
const en = {
  'skip': 'Skip to content',
  'nav': 'Main',
  'nav.offers': 'Hotels',
  'nav.find': 'My booking',
  'language': 'Language',
  'optional': '(optional)',
  'footer': 'Reference page of the local stack. Hotels, cards and charges are for tests.',
  'fault.settings': 'The local stack does not answer. Start it with “make run” and reload this page.',
  'fault.offers': 'We could not load the hotels. Check your connection and reload this page.',

  'offers.title': 'Where would you like to stay?',
  'offers.lead': 'Choose a hotel. The price you see is the price you pay.',
  'offers.trials': 'Hotels that fail on purpose',
  'offers.trials.lead': 'Each one misbehaves in its own way, to see how the page copes.',
  'offers.choose': 'Choose {name}',
  'trial.REJ': 'Rejects the booking',
  'trial.PEN': 'Confirms after a while',
  'trial.TMO': 'Confirms without an answer',
  'trial.FLK': 'Fails twice',
  'trial.LAT': 'Does not answer, shows up late',
  'trial.TWI': 'Ignores the key once',
  'trial.CXL': 'Confirms, then cancels',
  'trial.NOC': 'Cannot be cancelled',

  'checkout.title': 'Your details and payment',
  'checkout.traveler': 'Traveler',
  'checkout.payment': 'Payment',
  'checkout.pay': 'Pay {price} and book',
  'checkout.again': 'Try again',
  'checkout.promise': 'You pay once, even if you click twice, reload or lose the connection.',
  'field.full_name': 'Full name',
  'field.email': 'Email',
  'field.email.hint': 'The confirmation and the voucher go here.',
  'field.phone': 'Phone',
  'field.starts_on': 'Arrival day',
  'field.starts_on.hint': 'Departure: {day}',
  'field.card': 'Test card',
  'field.card.hint': 'The payment provider’s form would be here. We receive a token, never the number.',
  'sending': 'Sending your booking…',
  'sending.trouble': 'No answer yet. We keep trying with the same key: you will not be charged twice.',
  'sending.unsettled': 'We do not know whether your booking arrived',
  'sending.kept': 'Your details are still here. Trying again will not charge you twice.',

  'cards.usual': 'As usual',
  'cards.trouble': 'The payment stumbles',
  'cards.wrong': 'The payment does not add up',
  'cards.refund': 'The refund stumbles',
  'card.tok_ok': 'Accepts the payment',
  'card.tok_declined': 'Declines the payment',
  'card.tok_pending': 'Accepts after a while',
  'card.tok_timeout': 'Charges without an answer',
  'card.tok_flaky': 'Fails twice',
  'card.tok_lost': 'Always fails',
  'card.tok_late': 'Charges without an answer, shows up late',
  'card.tok_twice': 'Ignores the key once',
  'card.tok_undecided': 'Cannot decide',
  'card.tok_wrong_amount': 'Charges too much',
  'card.tok_wrong_currency': 'Charges another currency',
  'card.tok_wrong_reference': 'Answers with another payment',
  'card.tok_refund_pending': 'Refunds slowly',
  'card.tok_refund_rejected': 'Refuses the refund',
  'card.tok_refund_timeout': 'Refunds without an answer',
  'card.tok_refund_late_failure': 'Refunds, then fails',

  'fact.code': 'Booking code',
  'fact.locator': 'Hotel reference',
  'fact.offer': 'Accommodation',
  'fact.arrival': 'Arrival',
  'fact.departure': 'Departure',
  'fact.guests': 'Guests',
  'fact.price': 'Total price',
  'fact.deadline': 'Cancel before',
  'nights.one': '{count} night',
  'nights.other': '{count} nights',
  'guests.one': '{count} person',
  'guests.other': '{count} people',

  'status.EN PROCESO': 'In progress',
  'status.CONFIRMADA': 'Confirmed',
  'status.RECHAZADA': 'Rejected',
  'status.EXPIRADA': 'Expired',
  'status.EN CANCELACION': 'Being cancelled',
  'status.CANCELADA': 'Cancelled',
  'headline.EN PROCESO': 'We are confirming your booking',
  'headline.CONFIRMADA': 'Your booking is confirmed',
  'headline.RECHAZADA': 'We could not book it',
  'headline.EXPIRADA': 'The time to pay is over',
  'headline.EN CANCELACION': 'We are cancelling your booking',
  'headline.CANCELADA': 'Your booking is cancelled',
  'explanation.EN PROCESO': 'This usually takes some seconds. This page updates by itself.',
  'explanation.CONFIRMADA': 'See you there. Bring the voucher on the day of arrival.',
  'explanation.CONFIRMADA.papers': 'We are preparing your voucher.',
  'explanation.RECHAZADA': 'You can try again.',
  'explanation.EXPIRADA': 'The payment was not completed in time, and we released the room.',
  'explanation.EN CANCELACION': 'We tell the hotel and return your payment. This page updates by itself.',
  'explanation.CANCELADA': 'The hotel no longer expects you.',
  'reason.payment_declined': 'Your bank did not accept the payment. Try another card.',
  'reason.not_available': 'The hotel has no room left on those days. Try other dates or another hotel.',
  'reason.cancelled_by_you': 'You cancelled it. The hotel no longer expects you.',
  'reason.cancelled_by_hotel': 'The hotel cancelled it. We are sorry for the trouble.',
  'reason.expired': 'The payment was not completed in time, and we released the room.',
  'refund.pending': 'We are refunding {sum}. Your bank may take up to 10 business days.',
  'refund.done': 'We have refunded {sum}.',
  'refund.failed': 'A person is taking care of your refund of {sum}. You need not do anything.',
  'mail.promise': 'This takes longer than usual. You can close this page: we will mail you.',
  'support': 'A person is checking your booking.',
  'support.contact': 'If you want to talk to us:',
  'steps': 'Steps of the booking',
  'step.code': 'Booking received',
  'step.payment': 'Payment',
  'step.supplier': 'Hotel',
  'progress.pending': 'under way',
  'progress.done': 'done',
  'progress.failed': 'failed',

  'voucher': 'Open the voucher',
  'refresh': 'Update',
  'retry': 'Try again',
  'cancel': 'Cancel the booking',
  'another': 'Book another hotel',
  'history': 'History of the booking',
  'sure.title': 'Cancel this booking?',
  'sure.text': 'The hotel will release your room. If you have paid the {sum}, we will refund it.',
  'sure.yes': 'Yes, cancel it',
  'sure.no': 'No, keep it',
  'replayed': 'You had already made this booking. You were not charged again.',
  'replayed.again': 'I want another one like it',
  'offline': 'There is no connection. We keep trying.',
  'stopped': 'We have stopped updating this page. We will mail you.',

  'open.title': 'Your booking',
  'open.lead': 'This link opens the booking with this code. Nothing changes until you ask for it.',
  'open.button': 'See my booking',
  'find.title': 'Find your booking',
  'find.lead': 'We send a link to the email address you booked with.',
  'find.button': 'Send me the link',
  'find.sent': 'If code and email match, the link will arrive in some minutes.',

  'problem.fields': 'Check these details',
  'problem.title': 'We could not send your booking',
  'problem.price': 'The price of this offer has changed. Choose it again.',
  'problem.unauthorized': 'This page is not set up well. Its key is missing or wrong.',
  'problem.not_found': 'We cannot find that booking. Use the link in your mail, or ask for another in “My booking”.',
  'problem.not_cancellable': 'This booking can no longer be cancelled.',
  'problem.payment_in_progress': 'An equal booking is already charging this card.',
  'problem.see': 'See booking {code}',
  'problem.rate_limited': 'There are many requests now. Wait a minute and try again.',
  'problem.quota_exceeded': 'This page has used up its requests of the day. Try again in an hour.',
  'problem.other': 'Something went wrong and nothing was done. Try again in some minutes.',
  'problem.unsettled': 'We do not know whether it was done. Try again: it will not be done twice.',
  'problem.silence': 'There is no connection. Try again when you have one.',
  'fault.missing': 'Fill this in.',
  'fault.too_short': 'Fill this in.',
  'fault.too_long': 'This is too long.',
  'fault.malformed': 'We do not understand this format.',
  'fault.malformed_email': 'Write an address such as ana@example.com.',
  'fault.malformed_phone': 'Write the phone with its country prefix, such as +44 20 7946 0958.',
  'fault.unknown_country_code': 'No country has that prefix. The one of the UK is +44.',
  'fault.malformed_date': 'Choose a day.',
  'fault.in_the_past': 'That day is over. Choose another.',
  'fault.too_far_ahead': 'We do not sell that day yet. Choose an earlier one.',
  'fault.web_address': 'Write the name only, without addresses.',
  'fault.card_number': 'This looks like a card number. Do not write it here.',
};

/** @typedef {keyof typeof es} Key */

const catalogues = { es, en };
const asked = localStorage.getItem('language') ?? navigator.language.slice(0, 2);
/** @type {'es' | 'en'} */
let current = asked === 'es' ? 'es' : 'en';

export const language = () => current;

/** @param {string} wanted */
export function speak(wanted) {
  current = wanted === 'en' ? 'en' : 'es';
  localStorage.setItem('language', current);
}

/**
 * @param {Key} key
 * @param {Record<string, string | number>} [values] for the `{names}` in the text
 */
export function text(key, values = {}) {
  return catalogues[current][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/**
 * Return a text whose key comes from the API, or `undefined` for a word that this page does not know yet.
 * @param {string} key
 */
export function textOf(key) {
  return key in es ? text(/** @type {Key} */ (key)) : undefined;
}

/** @param {'nights' | 'guests'} unit @param {number} count */
export function counted(unit, count) {
  return text(count === 1 ? `${unit}.one` : `${unit}.other`, { count });
}

const region = () => (current === 'es' ? 'es-ES' : 'en-GB');

/** @param {{amount: string, currency: string}} sum */
export function money({ amount, currency }) {
  return new Intl.NumberFormat(region(), { style: 'currency', currency, useGrouping: 'always' }).format(Number(amount));
}

/** @param {string} date a day such as 2027-05-01, without a time zone */
export function day(date) {
  /** @type {Intl.DateTimeFormatOptions} */
  const style = { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' };
  return new Intl.DateTimeFormat(region(), style).format(new Date(date));
}

/** @param {string} instant */
export function moment(instant) {
  return new Intl.DateTimeFormat(region(), { dateStyle: 'long', timeStyle: 'short' }).format(new Date(instant));
}

/** @param {string} instant */
export function clock(instant) {
  return new Intl.DateTimeFormat(region(), { timeStyle: 'medium' }).format(new Date(instant));
}
