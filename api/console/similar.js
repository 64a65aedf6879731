// Alerts of the past that are like one, and how they ended.

import { h } from "./dom.js";
import { INCIDENTS } from "./incidents.js";
import { number, t, time } from "./texts.js";

/**
 * @typedef {{id: string, alike: string[], title: string, first_seen: string, disposition: string | null, by: string | null, at: string | null,
 *   note: string | null, permit: string | null, incident: number | null}} Past
 */

/**
 * How alerts ended that are like one, in numbers and one by one.
 * @param {{ended: Record<string, number>, alerts: Past[]}} found
 */
export function similar({ ended, alerts }) {
  if (!alerts.length) return h("p", { class: "hint" }, t("similar.none"));
  return h(
    "div",
    {},
    h("p", {}, Object.entries(ended).map(([disposition, count]) => `${t(`disposition.${disposition}`)}: ${number(count)}`).join(" · ")),
    h("ul", { class: "lines" }, alerts.map((each) => h("li", {}, past(each)))),
  );
}

/** @param {Past} alert */
function past({ id, alike, title, disposition, by, at, note, permit, incident }) {
  return [
    h("a", { href: `#${encodeURIComponent(id)}` }, title),
    " ",
    h("strong", {}, disposition && t(`disposition.${disposition}`)),
    " ",
    h("span", { class: "quiet-text" }, [by, permit, t("similar.alike", { what: alike.map((each) => t(`similar.${each}`)).join(", ") })].filter(Boolean).join(" · "), " ", at && time(at)),
    incident !== null && h("a", { href: `#${INCIDENTS}/${incident}` }, ` #${incident}`),
    note && h("p", { class: "note" }, note),
  ];
}
