// The review of a closed incident: what went well and what did not, its lessons, and who signed it.

import { call, may } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { at, choice, line, lines, moment } from "./forms.js";
import { lasting } from "./tables.js";
import { ownerOf, owners, taskOf } from "./tasks.js";
import { t, time } from "./texts.js";

/**
 * @typedef {{version: number, went_well: string, went_badly: string, cause: string, participants: string[], writers: string[], signed_by: string | null, signed_at: string | null,
 *   times: Record<string, number | null>, lessons: import("./tasks.js").Task[]}} Review
 */

const TEXTS = /** @type {const} */ (["went_well", "went_badly", "cause"]);

/**
 * @param {import("./incident.js").Incident} incident
 * @param {Review} review
 * @param {import("./incident.js").Surroundings} surroundings
 */
export function reviewOf(incident, review, surroundings) {
  const { session, changed } = surroundings;
  const works = may(session, "incident.work");
  const written = review.version > 0;
  const times = Object.entries(review.times).filter(([, seconds]) => seconds !== null);
  return [
    h("dl", { class: "facts" }, times.map(([name, seconds]) => h("div", {}, h("dt", {}, t(`review.times.${name}`)), h("dd", {}, lasting(seconds ?? 0))))),
    written
      ? h("dl", { class: "contents" }, TEXTS.flatMap((each) => [h("dt", {}, t(`review.${each}`)), h("dd", {}, review[each] || "–")]), h("dt", {}, t("review.participants")), h("dd", {}, review.participants.join(", ") || "–"))
      : h("p", { class: "hint" }, t("review.none")),
    review.signed_by && h("p", {}, t("review.signed_by", { name: review.signed_by }), " ", review.signed_at && time(review.signed_at)),
    review.lessons.length > 0 && h("h3", {}, t("review.lessons")),
    review.lessons.length > 0 && h("ul", { class: "sheets" }, review.lessons.map((each) => h("li", {}, taskOf(each, works, surroundings)))),
    h(
      "div",
      { class: "actions" },
      works && !review.signed_by && h("button", { type: "button", class: written ? "" : "primary", onclick: () => changed(write(incident, review)) }, t("review.write")),
      works && written && !review.signed_by && h("button", { type: "button", onclick: () => changed(lesson(incident)) }, t("review.lesson")),
      may(session, "incident.move") && written && !review.signed_by && h("button", { type: "button", onclick: () => changed(sign(incident, review)) }, t("review.sign")),
    ),
  ];
}

/**
 * @param {import("./incident.js").Incident} incident
 * @param {Review} review
 */
function write(incident, review) {
  return ask({
    title: t("review.write"),
    wide: true,
    fields: [
      ...TEXTS.map((each) => lines(each, `review.${each}`, { value: review[each], maxlength: 10_000 })),
      line("participants", "review.participants", { value: review.participants.join(", "), maxlength: 4000 }, "except.several"),
    ],
    confirm: t("review.write"),
    send: (values) => {
      const participants = String(values.get("participants")).split(",").map((each) => each.trim()).filter(Boolean);
      const body = { ...Object.fromEntries(TEXTS.map((each) => [each, String(values.get(each))])), participants };
      return call("PUT", `/api/incidents/${incident.number}/review`, { body, etag: `"${review.version}"` });
    },
  });
}

/** @param {import("./incident.js").Incident} incident */
async function lesson(incident) {
  const names = await owners(incident.number);
  return ask({
    title: t("review.lesson"),
    fields: [
      line("title", "field.title", { required: true }),
      lines("text", "task.text", { maxlength: 10_000 }),
      choice("role", "task.role", ["operator", "responder", "engineer"].map((each) => /** @type {const} */ ([each, t(`role.${each}`)])), { value: "engineer" }),
      ownerOf(names, { required: true }),
      at("due_at", "task.due", { required: true }),
    ],
    confirm: t("review.lesson"),
    send: (values) => {
      const body = {
        title: String(values.get("title")),
        text: String(values.get("text")),
        role: String(values.get("role")),
        owner: String(values.get("owner")),
        due_at: moment(values.get("due_at")),
      };
      return call("POST", `/api/incidents/${incident.number}/review/lessons`, { body });
    },
  });
}

/**
 * @param {import("./incident.js").Incident} incident
 * @param {Review} review
 */
function sign(incident, review) {
  return ask({
    title: t("review.sign"),
    hint: t("review.sign.hint", { names: review.writers.join(", ") }),
    fields: [lines("note", "action.acknowledge.note", { rows: 2, required: true })],
    confirm: t("review.sign"),
    send: (values) => call("POST", `/api/incidents/${incident.number}/review/sign`, { body: { note: String(values.get("note")) }, etag: `"${review.version}"` }),
  });
}
