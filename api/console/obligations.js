// The reports that the law asks for: what is left of each one's time, what it says, its steps, and its documents.

import { call, get, may } from "./api.js";
import { ask, labelled } from "./dialog.js";
import { fill, h } from "./dom.js";
import { at, check, choice, line, lines, moment, reason, written } from "./forms.js";
import { operatorOf } from "./operator.js";
import { drill, left } from "./tables.js";
import { number, t, time } from "./texts.js";

/**
 * @typedef {{id: number, incident: number, version: number, rule: string, regime: string, supplement: string | null, kind: string, title: string, to: string, channel: string, clause: string, certainty: string,
 *   note: string, state: string, drill: boolean, started_at: string | null, due_at: string | null, due_certain: boolean, at_once: boolean, seconds_left: number | null, share: number | null,
 *   submitted_at: string | null, before_approval: boolean, late: boolean, provisional: boolean, assumed: boolean}} Report
 * @typedef {Report & {contents: {key: string, name: string, needed: boolean, text: string}[], drafters: string[], approved_by: string | null, approved_at: string | null, submitted_by: string | null,
 *   submitted_by_way_of: string | null, document: string | null, receipt: string | null, acknowledged_at: string | null, sha256: string}} Written
 * @typedef {{format: string, language: string, sha256: string, made_by: string, made_at: string, sent: boolean}} Document
 */

const STEPS = ["pending", "drafted", "approved", "submitted", "acknowledged"];

/** At how much of the time a warning is given, in percent, and how it looks; the last that is reached counts. */
const WARNINGS = /** @type {const} */ ([[50, "half"], [80, "soon"], [100, "over"]]);

const FORMS = ["docx", "pdf"];
const LANGUAGES = ["zh-CN", "en"];

/**
 * @param {import("./incident.js").Incident} incident
 * @param {Report[]} reports
 * @param {import("./incident.js").Surroundings} surroundings
 */
export function reportsOf(incident, reports, surroundings) {
  const open = incident.state !== "closed";
  const { session, changed } = surroundings;
  const series = [...new Set(reports.map((each) => each.supplement))].filter((each) => each !== null);
  const shown = reports.filter((each) => each.state !== "lapsed");
  const lapsed = reports.filter((each) => each.state === "lapsed");
  return [
    reports.some((each) => each.assumed) && h("p", { class: "hint" }, t("report.assumed"), " ", h("a", { href: operatorOf(incident.site) }, t(may(session, "operator.write") ? "operator.say" : "page.operator"))),
    shown.length ? h("ul", { class: "sheets" }, shown.map((each) => h("li", { "data-key": `report-${each.id}` }, reportOf(each, surroundings)))) : h("p", { class: "hint" }, t("report.none")),
    lapsed.length > 0 && h("p", { class: "quiet-text" }, t("report.lapsed", { titles: lapsed.map((each) => each.title).join(", ") })),
    h(
      "div",
      { class: "actions" },
      open && may(session, "report.draft") && series.map((rule) => h("button", { type: "button", class: "quiet", onclick: () => changed(supplement(incident, rule)) }, t("report.supplement", { rule }))),
      summaryOf(incident),
    ),
  ];
}

/** The reports that stand against closing an incident, by name: not what is due only if it goes on until then. @param {Report[]} reports */
export const undoneReports = (reports) => reports.filter((each) => each.kind !== "supplement" && (each.kind !== "progress" || each.late) && STEPS.indexOf(each.state) >= 0 && STEPS.indexOf(each.state) < STEPS.indexOf("submitted")).map((each) => each.title);

/** Links to the management summary. @param {import("./incident.js").Incident} incident */
function summaryOf(incident) {
  return documents("report.summary", `/api/incidents/${incident.number}/summary`);
}

/**
 * Links to a document, in each form and language. They ask for a tab of their own, so that an answer that says why there is none
 * does not take the page's place.
 * @param {string} label key of the catalogue
 * @param {string} path
 */
function documents(label, path) {
  const link = (/** @type {string} */ form, /** @type {string} */ language) =>
    h("a", { href: `${path}?format=${form}&language=${language}`, target: "_blank", rel: "noreferrer" }, t(`report.document.${form}.${language}`));
  return h("span", { class: "documents" }, t(label), " ", LANGUAGES.flatMap((language) => FORMS.flatMap((form) => [link(form, language), " "])));
}

/**
 * @param {Report} report
 * @param {import("./incident.js").Surroundings} surroundings
 */
function reportOf(report, surroundings) {
  const here = STEPS.indexOf(report.state);
  const told = h("div", {});
  return h(
    "article",
    { class: "sheet", "aria-label": report.title },
    h("header", {}, h("strong", {}, report.title), " ", drill(report.drill), " ", h("span", { class: "quiet-text" }, report.rule)),
    clockOf(report),
    h("ol", { class: "track small" }, STEPS.map((each, place) => h("li", { class: place < here ? "past" : "", "aria-current": each === report.state ? "step" : null }, t(`obligation.state.${each}`)))),
    h("p", {}, t("report.to", { to: report.to, channel: report.channel })),
    report.note && h("p", { class: "hint" }, report.note),
    report.provisional && h("p", { class: "hint" }, t("report.provisional")),
    report.before_approval && h("p", { class: "hint" }, t("report.before_approval.was")),
    h("p", { class: "quiet-text" }, report.clause, " · ", t(`certainty.${report.certainty}`)),
    stepsOf(report, surroundings),
    h(
      "details",
      {
        "data-key": `says-${report.id}`,
        ontoggle: (/** @type {Event} */ event) => {
          if (/** @type {HTMLDetailsElement} */ (event.currentTarget).open) tell(report, told);
        },
      },
      h("summary", {}, t("report.says")),
      told,
    ),
  );
}

/** What is left of the time, and how much of it is over. @param {Report} report */
function clockOf(report) {
  if (report.submitted_at) return submittedAt(report.submitted_at, report.late);
  if (report.at_once) return h("p", { class: "clock over" }, h("strong", {}, t("report.at_once")));
  if (!report.due_at) return h("p", { class: "clock quiet-text" }, t(report.started_at ? "report.no_term" : "report.not_started"));
  const share = report.share ?? 0;
  const warning = WARNINGS.filter(([bound]) => share >= bound).at(-1)?.[1] ?? "calm";
  return h(
    "div",
    { class: `clock ${warning}` },
    h("p", {}, left(report.seconds_left ?? 0), " ", h("span", { class: "quiet-text" }, t("report.due"), " ", time(report.due_at), report.due_certain ? "" : ` ${t("report.due_or_later")}`)),
    h("progress", { max: 100, value: Math.min(100, share), "aria-label": t("report.share", { share: number(Math.round(share)) }) }),
    h("p", { class: "quiet-text" }, t("report.share", { share: number(Math.round(share)) })),
  );
}

/**
 * When a report was submitted, and whether in time.
 * @param {string} when
 * @param {boolean} late
 */
export const submittedAt = (when, late) => h("p", { class: "clock" }, t(late ? "report.submitted.late" : "report.submitted.in_time"), " ", time(when));

/**
 * What may be done with a report where it stands.
 * @param {Report} report
 * @param {import("./incident.js").Surroundings} surroundings
 */
function stepsOf(report, { session, changed }) {
  const step = (/** @type {string} */ permission, /** @type {string[]} */ states, /** @type {string} */ label, /** @type {() => Promise<unknown>} */ action, primary = true) =>
    may(session, permission) && states.includes(report.state) && h("button", { type: "button", class: primary ? "primary" : "quiet", onclick: () => changed(action()) }, t(label));
  return h(
    "div",
    { class: "actions" },
    step("report.draft", ["pending", "drafted", "approved"], "report.draft", () => draft(report), report.state === "pending"),
    step("report.approve", ["drafted"], "report.approve", () => approve(report)),
    step("report.submit", ["approved"], "report.submit", () => submit(report)),
    step("report.submit", ["submitted"], "report.acknowledge", () => acknowledge(report)),
  );
}

/** @param {Report} report @returns {Promise<{data: Written, etag: string | null}>} */
const read = (report) => call("GET", `/api/obligations/${report.id}`);

/**
 * Tell what a report says, who wrote and approved it, and its documents.
 * @param {Report} report
 * @param {HTMLElement} place
 */
async function tell(report, place) {
  if (!place.childElementCount) fill(place, h("p", { class: "loading" }, t("page.loading")));
  try {
    const [{ data }, kept] = await Promise.all([read(report), get(`/api/obligations/${report.id}/documents`)]);
    const signed = (/** @type {string} */ key, /** @type {string | null} */ name, /** @type {string | null} */ when) => name && h("p", { class: "quiet-text" }, t(key, { name }), " ", when && time(when));
    fill(
      place,
      contentsOf(data),
      data.drafters.length > 0 && h("p", { class: "quiet-text" }, t("report.drafters", { names: data.drafters.join(", ") })),
      signed("report.approved_by", data.approved_by, data.approved_at),
      signed("report.submitted_by", data.submitted_by && `${data.submitted_by} (${data.submitted_by_way_of ?? "–"})`, data.submitted_at),
      signed("report.receipt", data.receipt, data.acknowledged_at),
      h("p", {}, documents("report.documents", `/api/obligations/${report.id}/document`)),
      kept.map((/** @type {Document} */ each) =>
        h("p", { class: "quiet-text" }, t(`report.document.${each.format}.${each.language}`), " ", h("code", {}, each.sha256), each.sent ? ` · ${t("report.document.sent")}` : ""),
      ),
    );
  } catch (error) {
    fill(place, h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : t("page.failed")));
  }
}

/** @param {{contents: Written["contents"]}} report */
export function contentsOf(report) {
  return h(
    "dl",
    { class: "contents" },
    report.contents.flatMap((each) => [
      h("dt", {}, each.name, each.needed ? ` (${t("report.needed")})` : ""),
      h("dd", {}, each.text || h("span", { class: each.needed ? "problem" : "quiet-text" }, t("report.empty"))),
    ]),
  );
}

/** @param {Report} report */
const drilled = (report) => (report.drill ? t("report.drill") : report.title);

/** @param {Report} report */
async function draft(report) {
  const { data, etag } = await read(report);
  return ask({
    title: `${t("report.draft")}: ${report.title}`,
    hint: report.state === "approved" ? t("report.draft.approved") : drilled(report),
    wide: true,
    fields: data.contents.map((each) =>
      labelled(
        each.needed ? `${each.name} (${t("report.needed")})` : each.name,
        h("textarea", { id: `content-${each.key}`, name: each.key, rows: each.needed ? 4 : 2, maxlength: 20_000 }, each.text),
      ),
    ),
    confirm: t("report.draft.confirm"),
    send: (values) => {
      const contents = Object.fromEntries(data.contents.map((each) => [each.key, String(values.get(each.key) ?? "")]));
      return call("PUT", `/api/obligations/${report.id}/draft`, { body: { contents }, etag });
    },
  });
}

/** @param {Report} report */
async function approve(report) {
  const { data, etag } = await read(report);
  return ask({
    title: `${t("report.approve")}: ${report.title}`,
    hint: t("report.approve.hint", { names: data.drafters.join(", ") }),
    wide: true,
    fields: [contentsOf(data), lines("note", "action.acknowledge.note", { rows: 2, required: true })],
    confirm: t("report.approve"),
    send: (values) => call("POST", `/api/obligations/${report.id}/approve`, { body: { note: String(values.get("note")) }, etag }),
  });
}

/** @param {Report} report */
async function submit(report) {
  /** @type {[{etag: string | null}, Document[]]} */
  const [{ etag }, kept] = await Promise.all([read(report), get(`/api/obligations/${report.id}/documents`)]);
  const options = kept.map((each) => /** @type {const} */ ([each.sha256, `${t(`report.document.${each.format}.${each.language}`)} ${each.sha256.slice(0, 12)}…`]));
  return ask({
    title: `${t("report.submit")}: ${report.title}`,
    hint: t(report.drill ? "report.drill" : "report.submit.hint"),
    fields: [
      line("channel", "report.channel", { required: true, placeholder: report.channel.slice(0, 200) }),
      at("at", "field.when", { hint: "field.when.hint" }),
      choice("document", "report.document", [["", t("report.document.none")], ...options], { hint: options.length ? "" : "report.document.make" }),
      check("before_approval", "report.before_approval"),
      lines("note", "action.acknowledge.note", { rows: 2, required: true }),
    ],
    confirm: t("report.submit.confirm"),
    send: (values) => {
      const body = {
        channel: String(values.get("channel")),
        at: moment(values.get("at")),
        document: written(values.get("document")),
        before_approval: values.get("before_approval") !== null,
        note: String(values.get("note")),
      };
      return call("POST", `/api/obligations/${report.id}/submit`, { body, etag });
    },
  });
}

/** @param {Report} report */
function acknowledge(report) {
  return ask({
    title: `${t("report.acknowledge")}: ${report.title}`,
    fields: [line("receipt", "report.receipt.what", { required: true }, "report.receipt.hint"), lines("note", "action.acknowledge.note", { rows: 2, required: true })],
    confirm: t("report.acknowledge"),
    send: (values) => {
      const body = { receipt: String(values.get("receipt")), note: String(values.get("note")) };
      return call("POST", `/api/obligations/${report.id}/acknowledge`, { body, etag: `"${report.version}"` });
    },
  });
}

/**
 * @param {import("./incident.js").Incident} incident
 * @param {string} rule
 */
function supplement(incident, rule) {
  return ask({
    title: t("report.supplement", { rule }),
    fields: [reason()],
    confirm: t("report.supplement.confirm"),
    send: (values) => call("POST", `/api/incidents/${incident.number}/obligations`, { body: { rule, reason: String(values.get("reason")) } }),
  });
}
