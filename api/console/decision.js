// The forms in which a person decides about an alert.

import { call, get } from "./api.js";
import { ask, labelled } from "./dialog.js";
import { h } from "./dom.js";
import { number, t } from "./texts.js";

export const DISPOSITIONS = ["true_positive_impact", "true_positive_no_impact", "authorised_work", "false_positive", "duplicate", "insufficient_information"];

/** @typedef {import("./api.js").Alert} Alert */
/** @typedef {Promise<import("./api.js").AlertItem | null>} Decided */

/** @param {Alert} alert */
const pathOf = (alert) => `/api/alerts/${encodeURIComponent(alert.id)}`;

/**
 * Ask for the decision and send it. Answers the alert as it then is, or null where the person turned back.
 * @param {"acknowledge" | "close"} kind
 * @param {Alert} alert
 * @param {string | null} etag
 * @returns {Decided}
 */
export function decide(kind, alert, etag) {
  const note = h("textarea", { id: "decision-note", name: "note", rows: 3, required: true, maxlength: 4000, placeholder: t(`action.${kind}.hint`) });
  const permit = h("input", { id: "decision-permit", name: "permit", maxlength: 64 });
  const permitField = h("div", { class: "field", hidden: true }, h("label", { for: "decision-permit" }, t("action.close.permit")), permit);
  const radios = DISPOSITIONS.map((disposition) =>
    h("label", { class: "radio" }, h("input", { type: "radio", name: "disposition", value: disposition, required: true }), h("span", {}, t(`disposition.${disposition}`))),
  );
  return ask({
    title: t(`action.${kind}`),
    hint: alert.title,
    fields: [
      kind === "close" ? h("fieldset", {}, h("legend", {}, t("action.close.disposition")), radios) : null,
      kind === "close" ? permitField : null,
      labelled(t(`action.${kind}.note`), note),
    ],
    confirm: t(`action.${kind}.confirm`),
    ready: (form) =>
      form.addEventListener("change", () => {
        const authorised = new FormData(form).get("disposition") === "authorised_work";
        permitField.hidden = !authorised;
        permit.required = authorised;
      }),
    send: async (values) => {
      /** @type {Record<string, string>} */
      const body = { note: String(values.get("note")) };
      if (kind === "close") {
        body["disposition"] = String(values.get("disposition"));
        if (body["disposition"] === "authorised_work") body["permit"] = String(values.get("permit"));
      }
      return (await call("POST", `${pathOf(alert)}/${kind}`, { body, etag })).data;
    },
  });
}

/**
 * Ask what there is to say about an alert, and write it into its history. Answers the line, or null where the person turned back.
 * @param {Alert} alert
 */
export function comment(alert) {
  const note = h("textarea", { id: "decision-note", name: "note", rows: 3, required: true, maxlength: 4000, placeholder: t("action.comment.hint") });
  return ask({
    title: t("action.comment"),
    hint: alert.title,
    fields: [labelled(t("action.acknowledge.note"), note)],
    confirm: t("action.comment.confirm"),
    send: async (values) => (await call("POST", `${pathOf(alert)}/comments`, { body: { note: String(values.get("note")) } })).data,
  });
}

/**
 * Ask why an alert is to be told by itself, and say so. Answers as `decide`.
 * @param {Alert} alert
 * @param {string | null} etag
 * @returns {Decided}
 */
export function detach(alert, etag) {
  const note = h("textarea", { id: "decision-note", name: "note", rows: 3, required: true, maxlength: 4000 });
  return ask({
    title: t("action.detach"),
    hint: alert.title,
    fields: [labelled(t("action.reason"), note)],
    confirm: t("action.detach"),
    send: async (values) => (await call("POST", `${pathOf(alert)}/detach`, { body: { note: String(values.get("note")) }, etag })).data,
  });
}

/**
 * Ask whom to give an alert to, and give it. Answers as `decide`.
 * @param {Alert} alert
 * @param {string | null} etag
 * @returns {Decided}
 */
export async function assign(alert, etag) {
  /** @type {string[]} */
  const names = await get(`${pathOf(alert)}/assignees`);
  const to = h("select", { id: "decision-to", name: "to" }, names.map((name) => h("option", { value: name, selected: name === alert.triage.by }, name)));
  const note = h("textarea", { id: "decision-note", name: "note", rows: 3, required: true, maxlength: 4000, placeholder: t("action.assign.hint") });
  return ask({
    title: t("action.assign"),
    hint: alert.title,
    fields: [labelled(t("action.assign.to"), to), labelled(t("action.acknowledge.note"), note)],
    confirm: t("action.assign.confirm"),
    send: async (values) => (await call("POST", `${pathOf(alert)}/assign`, { body: { to: String(values.get("to")), note: String(values.get("note")) }, etag })).data,
  });
}

/**
 * Accept as normal what an alert tells, after a look at what would not have been told.
 * @param {Alert} alert
 * @param {string | null} etag
 * @returns {Decided}
 */
export async function accept(alert, etag) {
  const shown = await get(`${pathOf(alert)}/acceptance`);
  const note = h("textarea", { id: "decision-note", name: "note", rows: 3, required: true, maxlength: 256 });
  const fact = shown.fact;
  const meant = fact
    ? t("accept.fact", { kind: t(`fact.${fact.kind || "any"}`), point: [fact.point, fact.observed].filter(Boolean).map((part) => ` ${part}`).join(" →") })
    : t("accept.exception");
  return ask({
    title: t("action.accept"),
    hint: alert.title,
    fields: [
      h("p", {}, meant),
      h("p", { class: "preview" }, t("accept.hides", { count: number(shown.hides), undecided: number(shown.undecided) })),
      shown.right ? h("p", { class: "problem" }, t("except.preview.right", { count: number(shown.right) })) : null,
      shown.limited ? h("p", { class: "hint" }, t("except.preview.limited")) : null,
      labelled(t("action.reason"), note),
    ],
    confirm: t("action.accept"),
    send: async (values) => (await call("POST", `${pathOf(alert)}/accept`, { body: { note: String(values.get("note")), seen: shown.hides }, etag })).data,
  });
}
