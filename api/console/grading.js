// The grade of an incident: what is known, what each scheme proposes for it, and what people decided.

import { call, may } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { choice, line, reason } from "./forms.js";
import { post } from "./moves.js";
import { roman, table } from "./tables.js";
import { number, t, time } from "./texts.js";

/**
 * @typedef {import("./incident.js").Incident} Incident
 * @typedef {{key: string, name: string, kind: "number" | "choice" | "yes_no", unit: string, choices: {key: string, name: string}[]}} Metric
 * @typedef {{scheme: string, name: string, citation: string, level: number | null, level_name: string | null, met: {metric: string, name: string, at_least: number | null, one_of: string[], unit: string}[],
 *   unknown: string[], decided: number | null}} Proposal
 * @typedef {{at: string, by: string, scheme: string, proposed: number | null, decided: number, reason: string}} Decided
 */

const LEVELS = [1, 2, 3, 4];

/**
 * @param {Incident} incident
 * @param {{grading: Proposal[], vocabulary: {metrics: Metric[]}, grades: Decided[]}} known
 * @param {import("./incident.js").Surroundings} surroundings
 */
export function gradingOf(incident, { grading, vocabulary, grades }, { session, changed }) {
  const open = incident.state !== "closed";
  const decides = open && may(session, "incident.grade");
  const names = new Map(grading.map((each) => [each.scheme, each.name]));
  const facts = vocabulary.metrics.filter((each) => each.key in incident.facts);
  const rows = grading.map((each) => [
    [each.name, h("br"), h("span", { class: "quiet-text" }, each.citation)],
    each.level === null ? t("grade.none") : t(`grade.${each.level}`),
    each.met.length ? each.met.map((met) => met.name).join("; ") : "–",
    h("strong", {}, each.decided === null ? t("incident.ungraded") : t(`grade.${each.decided}`)),
    ...(decides ? [h("button", { type: "button", "data-key": each.scheme, onclick: () => changed(decide(incident, each)) }, t("grade.decide"))] : []),
  ]);
  return [
    table(["grade.scheme", "grade.proposed", "grade.met", "grade.decided", ...(decides ? ["field.action"] : [])], rows),
    h("h3", {}, t("grade.facts")),
    facts.length
      ? h("dl", { class: "facts" }, facts.map((each) => h("div", {}, h("dt", {}, each.name), h("dd", {}, valueOf(each, incident.facts[each.key])))))
      : h("p", { class: "hint" }, t("grade.facts.none")),
    open && may(session, "incident.work") && h("div", { class: "actions" }, h("button", { type: "button", onclick: () => changed(state(incident, vocabulary.metrics)) }, t("grade.facts.state"))),
    grades.length > 0 &&
      h(
        "details",
        { "data-key": "grades" },
        h("summary", {}, t("grade.history", { count: number(grades.length) })),
        h(
          "ol",
          { class: "lines" },
          grades.map((each) =>
            h(
              "li",
              {},
              t("grade.history.line", { scheme: names.get(each.scheme) ?? each.scheme, decided: roman(each.decided), proposed: roman(each.proposed), name: each.by, reason: each.reason }),
              " ",
              time(each.at),
            ),
          ),
        ),
      ),
  ];
}

/**
 * @param {Metric} metric
 * @param {boolean | number | string | undefined} value
 */
function valueOf(metric, value) {
  if (typeof value === "boolean") return t(value ? "grade.yes" : "grade.no");
  if (typeof value === "number") return `${number(value)} ${unitOf(metric)}`.trim();
  return metric.choices.find((each) => each.key === value)?.name ?? String(value);
}

/** The unit of a number as people write it. @param {Metric} metric */
const unitOf = (metric) => (metric.unit === "%" || !metric.unit ? metric.unit : t(`unit.${metric.unit}`));

/**
 * @param {Incident} incident
 * @param {Proposal} proposal
 */
function decide(incident, proposal) {
  const options = LEVELS.map((each) => /** @type {const} */ ([String(each), t(`grade.${each}`)]));
  const meant = proposal.decided ?? proposal.level ?? 4;
  return ask({
    title: t("grade.decide"),
    hint: `${proposal.name}: ${t("grade.proposed")}: ${proposal.level === null ? t("grade.none") : t(`grade.${proposal.level}`)}`,
    fields: [choice("level", "field.grade", options, { value: String(meant), required: true }), reason()],
    confirm: t("grade.decide"),
    send: (values) => post(incident, "grade", { scheme: proposal.scheme, level: Number(values.get("level")), reason: String(values.get("reason")) }),
  });
}

/**
 * @param {Incident} incident
 * @param {Metric[]} metrics
 */
function state(incident, metrics) {
  const field = (/** @type {Metric} */ metric) => {
    const value = incident.facts[metric.key];
    const name = `fact-${metric.key}`;
    if (metric.kind === "number") {
      const made = line(name, "field.facts", { type: "number", min: 0, step: "any", value: value ?? "" });
      /** @type {HTMLElement} */ (made.firstElementChild).textContent = metric.unit ? `${metric.name} (${unitOf(metric)})` : metric.name;
      return made;
    }
    const choices = metric.kind === "yes_no" ? [{ key: "yes", name: t("grade.yes") }, { key: "no", name: t("grade.no") }] : metric.choices;
    const chosen = typeof value === "boolean" ? (value ? "yes" : "no") : value === undefined ? "" : String(value);
    const made = choice(name, "field.facts", [["", t("grade.unknown")], ...choices.map((each) => /** @type {const} */ ([each.key, each.name]))], { value: chosen });
    /** @type {HTMLElement} */ (made.firstElementChild).textContent = metric.name;
    return made;
  };
  return ask({
    title: t("grade.facts"),
    hint: t("grade.facts.hint"),
    wide: true,
    fields: [h("div", { class: "columns" }, metrics.map(field)), reason()],
    confirm: t("grade.facts.confirm"),
    send: (values) => {
      /** @type {Record<string, boolean | number | string>} */
      const facts = {};
      for (const metric of metrics) {
        const given = String(values.get(`fact-${metric.key}`) ?? "").trim();
        if (given) facts[metric.key] = metric.kind === "number" ? Number(given) : metric.kind === "yes_no" ? given === "yes" : given;
      }
      return call("PUT", `/api/incidents/${incident.number}/facts`, { body: { facts, reason: String(values.get("reason")) }, etag: `"${incident.version}"` });
    },
  });
}
