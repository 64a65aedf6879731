// What is normal: how far learning is, what is proposed, what drifts; and decisions about it.

import { call, may } from "./api.js";
import { ask, labelled } from "./dialog.js";
import { h } from "./dom.js";
import { called, choiceOfSite, siteOf, sites } from "./sites.js";
import { number, t, time } from "./texts.js";

/**
 * @typedef {{kind: string, client: string | null, protocol: string | null, server: string | null, servers: number, thing: string | null, things: number}} Line
 * @typedef {{lines: Line[], more: number}} Lines
 * @typedef {{site: string, sensor: string, epoch: string, learning: boolean, phase: string, immaturity: number, heard_hours: number, learned_from: string, learned_until: string, approved_by: string,
 *   relearning: {client: string, server: string, until: string}[], promise: Promised | null, normal: Lines, rare: Lines, gone: Lines, come: Lines}} Baseline
 * @typedef {{promised: number, measured: number | null, heard_hours: number, minutes: number, broken_since: string | null}} Promised
 * @typedef {{site: string, choice: string, by: string, at: string, reason: string, about: Record<string, string>, waiting: boolean}} Decision
 */

/**
 * What is normal in the records of one sensor.
 * @param {Baseline} each
 * @param {{permissions: string[]}} session
 * @param {boolean} sited whether there are several sites: it is told with its own
 * @param {() => void} changed called when something was decided
 */
export function baselineOf(each, session, sited, changed) {
  const phase = each.learning
    ? t("tuning.phase.learning", { hours: number(each.heard_hours), share: `${Math.round(each.immaturity * 100)} %` })
    : t(`tuning.phase.${each.phase}`, { name: each.approved_by });
  const of = { site: each.site, sensor: each.sensor, epoch: each.epoch };
  const button = (/** @type {string} */ choice, /** @type {object} */ fixed = {}) =>
    h("button", { type: "button", onclick: async () => (await decide(choice, fixed, each.site)) && changed() }, t(`tuning.decide.${choice}`));
  return h(
    "section",
    { class: "baseline", "data-key": JSON.stringify([each.site, each.sensor, each.epoch]) },
    h("p", { class: "badges" }, h("strong", {}, each.sensor), sited && h("span", { class: "by" }, called(each.site)), h("span", {}, phase)),
    h("p", { class: "hint" }, time(each.learned_from), " – ", time(each.learned_until)),
    each.promise ? promised(each.promise) : null,
    each.relearning.map((scope) => h("p", { class: "hint" }, `${t("tuning.relearning", { server: scope.server, client: scope.client }).trim()} `, time(scope.until))),
    may(session, "baseline.decide") &&
      h(
        "div",
        { class: "actions" },
        each.learning ? button("propose", of) : null,
        !each.learning && each.phase === "proposed" ? button("approve", { ...of, learned_until: each.learned_until }) : null,
        button("accept"),
        button("relearn"),
        button("merge"),
      ),
    /** @type {const} */ (["normal", "rare", "gone", "come"]).map((name) => h("div", {}, h("h4", {}, t(`tuning.${name}`)), lines(each[name]))),
  );
}

/**
 * The rate of false alarms that models promise beside the measured one of all their alarms.
 * @param {Promised} promise
 */
function promised(promise) {
  const rate = (/** @type {number} */ each) => number(Number(each.toPrecision(2)));
  const measured =
    promise.measured === null
      ? t("tuning.promise.unmeasured", { promised: rate(promise.promised) })
      : t("tuning.promise", { promised: rate(promise.promised), measured: rate(promise.measured), minutes: number(promise.minutes), hours: number(Math.round(promise.heard_hours)) });
  return h("p", { class: "hint" }, measured, " ", promise.broken_since === null ? t("tuning.promise.holds") : [`${t("tuning.promise.broken")} `, time(promise.broken_since)]);
}

/** @param {Lines} found */
function lines(found) {
  if (!found.lines.length) return h("p", { class: "hint" }, t("tuning.nothing"));
  const others = (/** @type {string | null} */ first, /** @type {number} */ count) =>
    count > 1 ? t("tuning.servers", { server: first ?? "–", count: number(count - 1) }) : (first ?? "–");
  return h(
    "ul",
    { class: "facts-list" },
    found.lines.map((line) =>
      h(
        "li",
        {},
        h("span", { class: "kind" }, t(`fact.${line.kind}`)),
        h("span", {}, t("tuning.line", { client: line.client ?? "–", protocol: line.protocol ?? "", servers: others(line.server, line.servers), things: others(line.thing, line.things) })),
      ),
    ),
    found.more ? h("li", { class: "hint" }, t("tuning.more", { count: number(found.more) })) : null,
  );
}

/**
 * What was decided about what is normal.
 * @param {Decision[]} made
 * @param {boolean} sited whether there are several sites: each is told with its own
 */
export function decisionList(made, sited) {
  if (!made.length) return h("p", { class: "hint" }, t("tuning.nothing"));
  return h(
    "ol",
    { class: "history" },
    made.map((each) =>
      h(
        "li",
        {},
        h("p", {}, h("strong", {}, t(`tuning.decide.${each.choice}`)), ` · ${each.by}`, sited && ` · ${called(each.site)}`, h("span", { class: "when" }, time(each.at))),
        h("p", {}, h("code", {}, Object.values(each.about).join(" · "))),
        h("p", { class: "note" }, each.reason),
        each.waiting ? h("p", { class: "hint" }, t("tuning.waiting")) : null,
      ),
    ),
  );
}

/**
 * Ask for a decision about what is normal, and send it.
 * @param {string} choice
 * @param {object} fixed what the decision names besides
 * @param {string} site that of what is shown: where it is to be chosen, the one at first
 */
async function decide(choice, fixed, site) {
  const input = (/** @type {string} */ name, /** @type {Record<string, unknown>} */ more = {}) => h("input", { id: `decide-${name}`, name, autocomplete: "off", ...more });
  const address = { maxlength: 64 };
  const named = choice === "accept" || choice === "relearn";
  const place = named || choice === "merge" ? choiceOfSite(await sites().catch(() => []), { site }) : null;
  return ask({
    title: t(`tuning.decide.${choice}`),
    hint: t(`tuning.decide.hint.${choice}`),
    fields: [
      place,
      named ? labelled(t("detail.client"), input("client", address)) : null,
      named || choice === "approve" ? labelled(t("detail.server"), input("server", address)) : null,
      choice === "relearn" ? labelled(t("tuning.decide.since"), input("since", { type: "datetime-local", required: true })) : null,
      choice === "relearn" ? labelled(t("tuning.decide.hours"), input("hours", { type: "number", min: 1, max: 8784, value: 24, required: true })) : null,
      choice === "merge" ? labelled(t("tuning.decide.parties"), input("parties", { required: true })) : null,
      choice === "approve" ? h("label", { class: "radio" }, h("input", { type: "checkbox", name: "with_rare" }), h("span", {}, t("tuning.decide.with_rare"))) : null,
      labelled(t("action.reason"), h("textarea", { id: "decide-reason", name: "reason", rows: 2, required: true, maxlength: 256 })),
    ],
    confirm: t(`tuning.decide.${choice}`),
    send: async (values) => {
      const text = (/** @type {string} */ name) => String(values.get(name) ?? "").trim();
      /** @type {Record<string, unknown>} */
      const body = { ...fixed, ...siteOf(values), choice, reason: text("reason"), client: text("client"), server: text("server"), with_rare: values.has("with_rare") };
      if (choice === "relearn") Object.assign(body, { since: new Date(text("since")).toISOString(), hours: Number(text("hours")) });
      if (choice === "merge") body["parties"] = text("parties").split(",").map((part) => part.trim()).filter(Boolean);
      return (await call("POST", "/api/baseline/decisions", { body })).data;
    },
  });
}
