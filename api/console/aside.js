// The forms in which an alert is laid aside for a while, and brought back.

import { call } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { at, check, lines, moment } from "./forms.js";
import { t } from "./texts.js";

/** What can join an alert, and brings it back. */
const CONDITIONS = ["function", "asset", "rule"];

/** @typedef {import("./api.js").Alert} Alert */

/**
 * Ask until when an alert is laid aside, and do it. Answers the alert as it then is, or null where the person turned back.
 * @param {Alert} alert
 * @param {string | null} etag
 * @returns {Promise<import("./api.js").AlertItem | null>}
 */
export function snooze(alert, etag) {
  return ask({
    title: t("action.snooze"),
    hint: t("action.snooze.hint"),
    fields: [
      at("until", "action.snooze.until", { value: alert.snooze?.until ?? null, hint: "action.snooze.until.hint" }),
      h("fieldset", {}, h("legend", {}, t("action.snooze.conditions")), CONDITIONS.map((each) => check(each, `action.snooze.${each}`, alert.snooze?.conditions.includes(each)))),
      lines("note", "action.reason", { rows: 2, required: true }),
    ],
    confirm: t("action.snooze"),
    send: async (values) => {
      const until = moment(values.get("until"));
      const conditions = CONDITIONS.filter((each) => values.get(each) !== null);
      if (!until && !conditions.length) throw new Error(t("action.snooze.neither"));
      const body = { until, conditions, note: String(values.get("note")) };
      return (await call("POST", `/api/alerts/${encodeURIComponent(alert.id)}/snooze`, { body, etag })).data;
    },
  });
}

/**
 * Ask why an alert is brought back, and do it. Answers as `snooze`.
 * @param {Alert} alert
 * @param {string | null} etag
 * @returns {Promise<import("./api.js").AlertItem | null>}
 */
export function wake(alert, etag) {
  return ask({
    title: t("action.wake"),
    hint: alert.title,
    fields: [lines("note", "action.reason", { rows: 2, required: true })],
    confirm: t("action.wake"),
    send: async (values) => (await call("POST", `/api/alerts/${encodeURIComponent(alert.id)}/wake`, { body: { note: String(values.get("note")) }, etag })).data,
  });
}
