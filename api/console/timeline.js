// What happened in an incident, the latest first, and lines by hand.

import { call, get, may } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { at, line, lines, moment } from "./forms.js";
import { t, time } from "./texts.js";

/** @typedef {{id: number, incident: number, at: string, written_at: string, kind: string, actor: string, by_hand: boolean, source: string | null, text: string, note: string | null}} Entry */

/**
 * @param {import("./incident.js").Incident} incident
 * @param {{items: Entry[], next: string | null}} page the first lines
 * @param {import("./incident.js").Surroundings} surroundings
 */
export function timelineOf(incident, page, { session, changed }) {
  const list = h("ol", { class: "history" }, page.items.map((each) => entryOf(each, incident.number)).reverse());
  const more = h("button", { type: "button" }, t("incident.timeline.later"));
  let { next } = page;
  more.addEventListener("click", async () => {
    const found = await get(`/api/incidents/${incident.number}/timeline`, { limit: "500", cursor: next ?? "" });
    list.prepend(...found.items.map((/** @type {Entry} */ each) => entryOf(each, incident.number)).reverse());
    next = found.next;
    more.hidden = !next;
  });
  return [may(session, "incident.work") && h("div", { class: "actions" }, h("button", { type: "button", onclick: () => changed(write(incident)) }, t("incident.timeline.write"))), next && more, list];
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
