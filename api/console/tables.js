// Tables and other pieces that pages share.

import { h } from "./dom.js";
import { number, t } from "./texts.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * A part of a page; one that has nothing says so.
 * @param {string} key of its heading
 * @param {...(Child | Child[])} content
 */
export function part(key, ...content) {
  const some = content.flat().some((each) => each !== null && each !== undefined && each !== false);
  return h("section", { "aria-label": t(key), "data-key": key }, h("h2", {}, t(key)), ...(some ? content : [h("p", { class: "hint" }, t("situation.none"))]));
}

/**
 * A table; null where it has no rows.
 * @param {string[]} heads keys of the catalogue
 * @param {(Child | Child[])[][]} rows
 */
export function table(heads, rows) {
  if (!rows.length) return null;
  return h(
    "div",
    { class: "scroll", tabindex: 0 },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, t(head))))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, ...(Array.isArray(cell) ? cell : [cell])))))),
    ),
  );
}

/** @param {number} seconds */
export function lasting(seconds) {
  const minutes = Math.floor(seconds / 60);
  return t("situation.duration", { hours: number(Math.floor(minutes / 60)), minutes: number(minutes % 60) });
}

/**
 * How long until something is due, or since when it should have been; red when it is over.
 * @param {number} seconds less than zero where it is late
 */
export function left(seconds) {
  const said = t(seconds < 0 ? "situation.overdue" : "situation.left", { time: lasting(Math.abs(seconds)) });
  return seconds < 0 ? h("strong", { class: "verdict-over" }, said) : h("span", {}, said);
}

/** The grade of an incident, 1 being the worst. @param {number | null} grade */
export const roman = (grade) => (grade === null ? "–" : (["", "I", "II", "III", "IV"][grade] ?? String(grade)));

/** A badge that says that something is exercise only. @param {boolean} is */
export const drill = (is) => is && h("span", { class: "pill drill" }, t("situation.drill"));

/**
 * Draw anew what is shown, so that who reads or works on it does not notice: what is open stays open, and the focus where it was.
 * @param {HTMLElement} element
 * @param {() => void} draw
 */
export function redrawn(element, draw) {
  const keyOf = (/** @type {Element} */ each) => `${each.closest("[data-key]")?.getAttribute("data-key") ?? ""} ${each.tagName} ${each.id} ${each.textContent}`;
  const focused = document.activeElement && element.contains(document.activeElement) ? keyOf(document.activeElement) : "";
  const opened = new Set([...element.querySelectorAll("details[open][data-key]")].map((each) => each.getAttribute("data-key")));
  draw();
  for (const each of element.querySelectorAll("details[data-key]")) if (opened.has(each.getAttribute("data-key"))) each.setAttribute("open", "");
  if (!focused) return;
  const again = [...element.querySelectorAll("a, button, summary, [tabindex]")].find((each) => keyOf(each) === focused);
  /** @type {HTMLElement | undefined} */ (again)?.focus({ preventScroll: true });
}
