// The forms in which an incident begins: declared from an alert or from what somebody reported, or an alert put into one.

import { call, get, may } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { at, check, choice, line, lines, moment, written } from "./forms.js";
import { INCIDENTS } from "./incidents.js";
import { t } from "./texts.js";

/** @typedef {{key: string, name: string, sub: {key: string, name: string}[]}} Class */

/**
 * Classes and their sub-classes, to choose from.
 * @param {Class[]} classes
 * @param {string | null} [value]
 */
export function categories(classes, value = null) {
  const groups = classes.map((each) =>
    h(
      "optgroup",
      { label: each.name },
      h("option", { value: each.key, selected: each.key === value }, each.name),
      each.sub.map((sub) => h("option", { value: `${each.key}.${sub.key}`, selected: `${each.key}.${sub.key}` === value }, sub.name)),
    ),
  );
  return choice("category", "field.category", [["", t("incident.category.none")], ...groups], { value });
}

/** Show an incident. @param {number} number */
const show = (number) => (location.hash = `#${INCIDENTS}/${number}`);

/**
 * Declare an incident, and show it. Answers null: the live stream tells what became of the alert.
 * @param {import("./api.js").Session} session
 * @param {import("./api.js").Alert} [alert] that it is declared from; without it, from what somebody reported
 */
export async function declare(session, alert) {
  const { categories: classes } = await get("/api/incidents/vocabulary");
  const made = await ask({
    title: t("incidents.declare"),
    hint: alert && alert.drill !== null ? t("detail.drill", { number: String(alert.drill) }) : t(alert ? "incidents.declare.from_alert" : "incidents.declare.from_report"),
    fields: [
      line("title", "field.title", { value: alert?.title ?? "", required: true }),
      lines("summary", "incident.summary", { value: alert?.summary ?? "", maxlength: 10_000 }),
      alert ? null : line("reported_by", "incident.reported_by", { required: true }, "incident.reported_by.hint"),
      alert ? null : line("site", "field.site", { maxlength: 255 }, "incident.site.hint"),
      alert?.story && alert.story.alerts.length > 1 ? check("story", "incidents.declare.story", true) : null,
      at("discovered_at", "field.discovered", { hint: "incident.discovered.hint" }),
      categories(classes),
      line("lead", "field.lead", { value: session.name, maxlength: 64 }),
      !alert && may(session, "drill.run") ? check("drill", "incidents.declare.drill") : null,
    ],
    confirm: t("incidents.declare"),
    send: async (values) => {
      const body = {
        title: String(values.get("title")),
        summary: String(values.get("summary")),
        alerts: alert ? [alert.id] : [],
        story: alert && values.get("story") ? alert.id : null,
        site: alert ? null : written(values.get("site")),
        reported_by: alert ? null : written(values.get("reported_by")),
        discovered_at: moment(values.get("discovered_at")),
        category: written(values.get("category")),
        lead: written(values.get("lead")),
        drill: values.get("drill") !== null,
      };
      return (await call("POST", "/api/incidents", { body })).data;
    },
  });
  if (made) show(made.number);
  return null;
}

/**
 * Put an alert into an incident that is open, and show that. Answers null, as `declare`.
 * @param {import("./api.js").Alert} alert
 */
export async function addTo(alert) {
  const { items } = await get("/api/incidents", { state: "!closed", site: alert.site, drill: String(alert.drill !== null), limit: "500" });
  /** @type {import("./incidents.js").IncidentItem[]} */
  const incidents = items;
  const to = await ask({
    title: t("incidents.add"),
    hint: incidents.length ? alert.title : t("incidents.none"),
    fields: [
      choice("number", "field.incident", incidents.map((each) => /** @type {const} */ ([String(each.number), `#${each.number} ${each.title}${each.drill ? ` (${t("situation.drill")})` : ""}`])), { required: true }),
      lines("note", "action.reason", { rows: 2, required: true }),
    ],
    confirm: t("incidents.add.confirm"),
    send: async (values) => {
      const chosen = incidents.find((each) => String(each.number) === values.get("number"));
      if (!chosen) throw new Error(t("incidents.none"));
      const body = { alerts: [alert.id], note: String(values.get("note")) };
      return (await call("POST", `/api/incidents/${chosen.number}/alerts`, { body, etag: `"${chosen.version}"` })).data;
    },
  });
  if (to) show(to.number);
  return null;
}
