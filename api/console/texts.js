// The catalogue in the chosen language, and numbers and times as people there write them.

/** @typedef {"en" | "zh-CN"} Language */

/** @type {Record<string, string>} */
let catalogue = {};

/** @type {Language} */
let chosen = initial();

/** @returns {Language} */
function initial() {
  const kept = localStorage.getItem("icsight.language");
  if (kept === "en" || kept === "zh-CN") return kept;
  return navigator.languages.some((name) => name.toLowerCase().startsWith("zh")) ? "zh-CN" : "en";
}

/** The language of the page. */
export function language() {
  return chosen;
}

/**
 * Load the catalogue of a language and remember the choice.
 * @param {Language} [wanted]
 */
export async function speak(wanted = chosen) {
  const response = await fetch(`/api/texts/${wanted}`);
  catalogue = await response.json();
  chosen = wanted;
  localStorage.setItem("icsight.language", wanted);
  document.documentElement.lang = wanted;
}

/**
 * A text of the catalogue, its placeholders filled.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  let found = catalogue[key] ?? key;
  for (const [name, value] of Object.entries(values)) found = found.replaceAll(`{${name}}`, String(value));
  return found;
}

/** @param {number} value */
export function number(value) {
  return new Intl.NumberFormat(chosen).format(value);
}

/**
 * A large number in few characters.
 * @param {number} value
 */
export function short(value) {
  if (value < 10_000) return number(Math.round(value));
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/**
 * A time in the viewer's zone: the clock for today, with the date otherwise. Hovering shows UTC with all digits.
 * @param {string} iso
 * @param {boolean} [precise] with milliseconds
 */
export function time(iso, precise = false) {
  const moment = new Date(iso);
  const element = document.createElement("time");
  element.dateTime = iso;
  element.title = iso;
  const today = new Date().toDateString() === moment.toDateString();
  /** @type {Intl.DateTimeFormatOptions} */
  const format = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  if (precise) format.fractionalSecondDigits = 3;
  if (!today) {
    format.month = chosen === "en" ? "short" : "2-digit";
    format.day = "2-digit";
    if (moment.getFullYear() !== new Date().getFullYear()) format.year = "numeric";
  }
  element.textContent = new Intl.DateTimeFormat(chosen === "en" ? "en-GB" : chosen, format).format(moment);
  return element;
}
