// What happened in an incident, the latest first, and lines by hand.

import { call, get, may } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { at, line, lines, moment } from "./forms.js";
import { t, time } from "./texts.js";

/** @typedef {{id: number, incident: number, at: string, written_at: string, kind: string, actor: string, by_hand: boolean, source: string | null, text: string, note: string | null}} Entry */

/** Lines on a page: the most that the API gives at once. */
export const LINES = 500;

/**
 * The latest lines, as many as are asked for, in whole pages.
 * @param {number} incident
 * @param {number} count
 * @returns {Promise<{items: Entry[], next: string | null}>} `next`: there are earlier ones
 */
export async function latest(incident, count) {
  /** @type {Entry[]} */
  const items = [];
  /** @type {string | null} */
  let next = null;
  do {
    const page = await get(`/api/incidents/${incident}/timeline`, { sort: "-at", limit: String(LINES), ...(next && { cursor: next }) });
    items.push(...page.items);
    next = page.next;
  } while (next && items.length < count);
  return { items, next };
}

/**
 * @param {import("./incident.js").Incident} incident
 * @param {Awaited<ReturnType<typeof latest>>} lines
 * @param {import("./incident.js").Surroundings} surroundings
 * @param {() => void} more shows earlier ones
 */
export function timelineOf(incident, { items, next }, { session, changed }, more) {
  return [
    may(session, "incident.work") && h("div", { class: "actions" }, h("button", { type: "button", onclick: () => changed(write(incident)) }, t("incident.timeline.write"))),
    h("ol", { class: "history" }, items.map((each) => entryOf(each, incident.number))),
    next && h("button", { type: "button", onclick: more }, t("incident.timeline.earlier")),
  ];
}

/**
 * @param {Entry} entry
 * @param {number} here
 */
function entryOf(entry, here) {
  return h(
    "li",
    { class: entry.by_hand ? "acknowledged" : "" },
    h("p", {}, h("strong", {}, entry.text), h("span", { class: "quiet-text who-did" }, ` · ${entry.actor}`, entry.incident === here ? null : ` · #${entry.incident}`), h("span", { class: "when" }, time(entry.at))),
    entry.source && h("p", { class: "quiet-text" }, t("incident.timeline.source", { source: entry.source })),
    entry.note && h("p", { class: "note" }, entry.note),
  );
}

/** @param {import("./incident.js").Incident} incident */
function write(incident) {
  return ask({
    title: t("incident.timeline.write"),
    hint: t("incident.timeline.write.hint"),
    fields: [
      at("at", "field.when", { value: new Date().toISOString(), required: true }),
      lines("text", "incident.timeline.text", { required: true }),
      line("source", "incident.timeline.from", { required: true }),
    ],
    confirm: t("incident.timeline.write"),
    send: (values) =>
      call("POST", `/api/incidents/${incident.number}/timeline`, { body: { at: moment(values.get("at")), text: String(values.get("text")), source: String(values.get("source")) } }),
  });
}
