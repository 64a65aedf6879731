// The forms in which an incident is moved on: its states, hold, closing, opening again, and what is said of it.

import { call, get, may } from "./api.js";
import { DISPOSITIONS } from "./decision.js";
import { categories } from "./declare.js";
import { ask } from "./dialog.js";
import { h, icon } from "./dom.js";
import { at, choice, kept, line, lines, moment, reason, written } from "./forms.js";
import { t } from "./texts.js";

/** @typedef {import("./incident.js").Incident} Incident */

/**
 * What may be done with an incident as a whole, by who looks at it.
 * @param {Incident} incident
 * @param {import("./incident.js").Surroundings} surroundings
 * @param {string[]} undone what stands against closing it
 */
export function moves(incident, { session, changed }, undone) {
  const closed = incident.state === "closed";
  const button = (/** @type {string} */ label, /** @type {() => Promise<unknown>} */ action, /** @type {string} */ kind = "", /** @type {string} */ name = "") =>
    h("button", { type: "button", class: kind, onclick: () => changed(action()) }, name ? icon(name) : null, label);
  const leads = may(session, "incident.move");
  const next = incident.moves.find((each) => PHASES.indexOf(each) > PHASES.indexOf(incident.state));
  const found = [
    leads && incident.moves.map((to) => button(t("incident.move", { state: t(`incident.state.${to}`) }), () => move(incident, to), to === next ? "primary" : "", to === next ? "arrow" : "")),
    leads && incident.closable && button(t("incident.close"), () => close(incident, undone, may(session, "incident.override"))),
    leads && !closed && !incident.hold && button(t("incident.hold"), () => hold(incident), "quiet"),
    leads && incident.hold && button(t("incident.resume"), () => resume(incident), "primary"),
    may(session, "incident.work") && !closed && button(t("incident.change"), () => change(incident), "quiet"),
    may(session, "incident.reopen") && closed && incident.merged_into === null && button(t("incident.reopen"), () => reopen(incident)),
  ].flat();
  return h("div", { class: "actions" }, found);
}

/** All states, in the order in which an incident usually goes through them. */
export const PHASES = ["declared", "analysing", "containing", "eradicating", "recovering", "monitoring", "closed"];

/** @param {Incident} incident */
const etagOf = (incident) => `"${incident.version}"`;

/**
 * Send a change of an incident.
 * @param {Incident} incident
 * @param {string} step
 * @param {unknown} body
 */
export const post = (incident, step, body) => call("POST", `/api/incidents/${incident.number}/${step}`, { body, etag: etagOf(incident) });

/**
 * @param {Incident} incident
 * @param {string} to
 */
function move(incident, to) {
  return ask({
    title: t("incident.move", { state: t(`incident.state.${to}`) }),
    hint: incident.title,
    fields: [reason(), at("at", "field.when", { hint: "field.when.hint" })],
    confirm: t("incident.move.confirm"),
    send: (values) => post(incident, "move", { to, reason: String(values.get("reason")), at: moment(values.get("at")) }),
  });
}

/** @param {Incident} incident */
function hold(incident) {
  return ask({
    title: t("incident.hold"),
    hint: t("incident.hold.hint"),
    fields: [at("until", "incident.hold.until", { required: true }), reason()],
    confirm: t("incident.hold"),
    send: (values) => post(incident, "hold", { until: moment(values.get("until")), reason: String(values.get("reason")) }),
  });
}

/** @param {Incident} incident */
function resume(incident) {
  return ask({
    title: t("incident.resume"),
    hint: incident.title,
    fields: [reason()],
    confirm: t("incident.resume"),
    send: (values) => post(incident, "resume", { reason: String(values.get("reason")) }),
  });
}

/**
 * @param {Incident} incident
 * @param {string[]} undone
 * @param {boolean} mayOverride
 */
function close(incident, undone, mayOverride) {
  const permit = line("permit", "action.close.permit", { maxlength: 64 });
  permit.hidden = true;
  return ask({
    title: t("incident.close"),
    hint: t("incident.close.hint"),
    fields: [
      undone.length ? h("div", { class: "preview" }, h("p", {}, t("incident.close.undone")), h("ul", { class: "bullets" }, undone.map((each) => h("li", {}, each)))) : null,
      choice("disposition", "action.close.disposition", DISPOSITIONS.map((each) => /** @type {const} */ ([each, t(`disposition.${each}`)])), { required: true }),
      permit,
      reason(),
      undone.length && mayOverride ? lines("override", "incident.override", { rows: 2, hint: "incident.override.hint" }) : null,
    ],
    confirm: t("incident.close.confirm"),
    ready: (form) =>
      form.addEventListener("change", () => {
        const authorised = new FormData(form).get("disposition") === "authorised_work";
        permit.hidden = !authorised;
        /** @type {HTMLInputElement} */ (permit.querySelector("input")).required = authorised;
      }),
    send: (values) => {
      const disposition = String(values.get("disposition"));
      const body = {
        disposition,
        reason: String(values.get("reason")),
        permit: disposition === "authorised_work" ? written(values.get("permit")) : null,
        override: written(values.get("override")),
      };
      return post(incident, "close", body);
    },
  });
}

/** @param {Incident} incident */
function reopen(incident) {
  return ask({
    title: t("incident.reopen"),
    hint: incident.title,
    fields: [reason()],
    confirm: t("incident.reopen"),
    send: (values) => post(incident, "reopen", { reason: String(values.get("reason")) }),
  });
}

/** @param {Incident} incident */
async function change(incident) {
  const { categories: classes } = await get("/api/incidents/vocabulary");
  return ask({
    title: t("incident.change"),
    fields: [
      line("title", "field.title", { value: incident.title, required: true }),
      lines("summary", "incident.summary", { value: incident.summary, maxlength: 10_000 }),
      categories(classes, incident.category),
      line("lead", "field.lead", { value: incident.lead ?? "", maxlength: 64 }),
      at("discovered_at", "field.discovered", { value: incident.discovered_at, required: true, hint: "incident.discovered.change" }),
      at("occurred_at", "incident.occurred", { value: incident.occurred_at }),
      reason(),
    ],
    confirm: t("action.change"),
    send: (values) => {
      const body = {
        title: String(values.get("title")),
        summary: String(values.get("summary")),
        category: written(values.get("category")),
        lead: written(values.get("lead")),
        discovered_at: kept(values.get("discovered_at"), incident.discovered_at),
        occurred_at: kept(values.get("occurred_at"), incident.occurred_at),
        reason: String(values.get("reason")),
      };
      return call("PUT", `/api/incidents/${incident.number}`, { body, etag: etagOf(incident) });
    },
  });
}
