// Controls of dialogs, and the times in them: written in the viewer's zone, sent in UTC.

import { labelled } from "./dialog.js";
import { h } from "./dom.js";
import { t } from "./texts.js";

/**
 * A time as an input for a local time shows it.
 * @param {string | null | undefined} iso
 * @param {number} [characters] 16: to the minute, 19: to the second
 * @returns {string}
 */
export function local(iso, characters = 16) {
  if (!iso) return "";
  const at = new Date(iso);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, characters);
}

/**
 * The time that an input for a local time shows; null where it is empty.
 * @param {FormDataEntryValue | null} value
 */
export const moment = (value) => (value ? new Date(String(value)).toISOString() : null);

/**
 * As `moment`, but a time that nobody changed stays what it was, to the nanosecond.
 * @param {FormDataEntryValue | null} value
 * @param {string | null} before
 */
export const kept = (value, before) => (value && value === local(before, 19) ? before : moment(value));

/**
 * What was written, without room around it; null where it is nothing.
 * @param {FormDataEntryValue | null} value
 */
export const written = (value) => String(value ?? "").trim() || null;

/**
 * A line of text with its label.
 * @param {string} name
 * @param {string} label key of the catalogue
 * @param {Record<string, unknown>} [more] attributes
 * @param {string} [hint] key of the catalogue
 */
export const line = (name, label, more = {}, hint = "") =>
  labelled(t(label), h("input", { id: `ask-${name}`, name, autocomplete: "off", maxlength: 200, ...more }), hint ? t(hint) : "");

/**
 * Several lines of text with their label.
 * @param {string} name
 * @param {string} label key of the catalogue
 * @param {{value?: string, hint?: string, rows?: number, maxlength?: number, required?: boolean}} [more]
 */
export const lines = (name, label, { value = "", hint = "", rows = 3, maxlength = 4000, required = false } = {}) =>
  labelled(t(label), h("textarea", { id: `ask-${name}`, name, rows, maxlength, required }, value), hint ? t(hint) : "");

/** Why something is done: asked of everybody who changes an incident. @param {string} [name] of the field */
export const reason = (name = "reason") => lines(name, "action.reason", { rows: 2, required: true });

/**
 * A local time, to the second, with its label.
 * @param {string} name
 * @param {string} label key of the catalogue
 * @param {{value?: string | null, hint?: string, required?: boolean}} [more]
 */
export const at = (name, label, { value = null, hint = "", required = false } = {}) =>
  line(name, label, { type: "datetime-local", step: 1, value: local(value, 19), required }, hint);

/**
 * One of several, with its label.
 * @param {string} name
 * @param {string} label key of the catalogue
 * @param {(readonly [string, string] | HTMLOptGroupElement)[]} options value and text
 * @param {{value?: string | null, hint?: string, required?: boolean}} [more]
 */
export function choice(name, label, options, { value = null, hint = "", required = false } = {}) {
  const made = options.map((each) => (each instanceof HTMLElement ? each : h("option", { value: each[0], selected: each[0] === value }, each[1])));
  return labelled(t(label), h("select", { id: `ask-${name}`, name, required }, made), hint ? t(hint) : "");
}

/**
 * Something that is so or not.
 * @param {string} name
 * @param {string} label key of the catalogue
 * @param {boolean} [checked]
 */
export const check = (name, label, checked = false) =>
  h("label", { class: "radio" }, h("input", { type: "checkbox", name, value: "yes", checked }), h("span", {}, t(label)));
