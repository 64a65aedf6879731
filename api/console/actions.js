// Actions in the plant: proposed with what must be known, approved by two people, carried out by people, verified in the traffic.

import { call, get, may } from "./api.js";
import { ask } from "./dialog.js";
import { fill, h } from "./dom.js";
import { at, check, choice, line, lines, moment, reason, written } from "./forms.js";
import { drill } from "./tables.js";
import { t, time } from "./texts.js";

/**
 * @typedef {{kind: string, client: string, server: string | null, minutes: number}} Silence
 * @typedef {{verdict: string, text: string, at: string}} Verdict
 * @typedef {{id: number, incident: number, drill: boolean, version: number, title: string, state: string, safety: Record<string, string>, proof: Silence | null, window_from: string, window_until: string,
 *   proposed_by: string, security_by: string | null, operations_by: string | null, executed_by: string | null, executed_at: string | null,
 *   moves: {state: string, by: string, at: string, note: string}[], verdict: Verdict | null}} Action
 */

/** What must be known of the plant before anybody acts in it. */
const SAFETY = ["process_state", "safety_system", "manual_fallback", "flows_to_preserve", "rollback"];

const STEPS = ["proposed", "security_approved", "operations_approved", "executing", "verified"];

/**
 * Each step: its path, who may take it, from which states, and whether it is the usual one.
 * @type {readonly {path: string, permissions: string[], states: string[], usual?: boolean}[]}
 */
const MOVES = [
  { path: "security", permissions: ["action.approve_security"], states: ["proposed"], usual: true },
  { path: "operations", permissions: ["action.approve_operations"], states: ["security_approved"], usual: true },
  { path: "execute", permissions: ["action.execute"], states: ["operations_approved"], usual: true },
  { path: "verify", permissions: ["action.execute"], states: ["executing"], usual: true },
  { path: "fail", permissions: ["action.execute"], states: ["executing", "verified"] },
  { path: "roll-back", permissions: ["action.execute"], states: ["executing", "verified", "failed"] },
  { path: "reject", permissions: ["action.approve_security", "action.approve_operations"], states: ["proposed", "security_approved"] },
  { path: "withdraw", permissions: ["action.propose"], states: ["proposed", "security_approved", "operations_approved"] },
];

/** Steps that are taken in an open incident only. */
const OPEN_ONLY = ["security", "operations", "execute"];

/**
 * @param {import("./incident.js").Incident} incident
 * @param {Action[]} actions
 * @param {import("./incident.js").Surroundings} surroundings
 */
export function actionsOf(incident, actions, surroundings) {
  const { session, changed } = surroundings;
  const open = incident.state !== "closed";
  return [
    actions.length ? h("ul", { class: "sheets" }, actions.map((each) => h("li", {}, actionOf(each, open, surroundings)))) : h("p", { class: "hint" }, t("deed.none")),
    open && may(session, "action.propose") && h("div", { class: "actions" }, h("button", { type: "button", onclick: () => changed(propose(incident, session)) }, t("deed.propose"))),
  ];
}

/** The actions that stand against closing an incident, by name. @param {Action[]} actions */
export const undoneActions = (actions) => actions.filter((each) => STEPS.includes(each.state) && each.state !== "verified").map((each) => each.title);

/**
 * @param {Action} action
 * @param {boolean} open whether its incident is
 * @param {import("./incident.js").Surroundings} surroundings
 */
function actionOf(action, open, { session, changed }) {
  const here = STEPS.indexOf(action.state);
  const offered = MOVES.filter(
    (each) => each.states.includes(action.state) && each.permissions.some((permission) => may(session, permission)) && (open || !OPEN_ONLY.includes(each.path)),
  );
  const verdict = h("p", { class: "hint", role: "status" }, action.verdict ? t("deed.verdict", { text: action.verdict.text }) : "");
  return h(
    "article",
    { class: "sheet", "data-key": `action-${action.id}`, "aria-label": action.title },
    h("header", {}, h("strong", {}, action.title), drill(action.drill)),
    here < 0
      ? h("p", {}, h("strong", {}, t(`deed.state.${action.state}`)))
      : h("ol", { class: "track small" }, STEPS.map((each, place) => h("li", { class: place < here ? "past" : "", "aria-current": each === action.state ? "step" : null }, t(`deed.state.${each}`)))),
    h("p", { class: "quiet-text" }, t("deed.window"), " ", time(action.window_from), " – ", time(action.window_until)),
    action.proof && h("p", {}, proofOf(action.proof)),
    h(
      "details",
      { "data-key": `safety-${action.id}`, open: here >= 0 && here < 2 },
      h("summary", {}, t("deed.safety")),
      h("dl", { class: "contents" }, SAFETY.flatMap((each) => [h("dt", {}, t(`deed.${each}`)), h("dd", {}, action.safety[each] ?? "–")])),
    ),
    h(
      "ol",
      { class: "history" },
      action.moves.map((each) => h("li", {}, h("p", {}, h("strong", {}, t(`deed.state.${each.state}`)), ` · ${each.by}`, h("span", { class: "when" }, time(each.at))), h("p", { class: "note" }, each.note))),
    ),
    verdict,
    h(
      "div",
      { class: "actions" },
      offered.map((each) => h("button", { type: "button", class: each.usual ? "primary" : "quiet", onclick: () => changed(step(action, each.path)) }, t(`deed.${each.path}`))),
      action.proof && action.state === "executing" && may(session, "action.execute") && h("button", { type: "button", onclick: () => look(action, verdict) }, t("deed.look")),
    ),
  );
}

/** @param {Silence} proof */
const proofOf = (proof) => t(`deed.proof.${proof.kind}`, { client: proof.client, server: proof.server ?? t("deed.proof.any"), minutes: proof.minutes });

/**
 * Tell what the traffic shows now; nothing is changed.
 * @param {Action} action
 * @param {HTMLElement} place
 */
async function look(action, place) {
  try {
    const found = await get(`/api/actions/${action.id}/verdict`);
    fill(place, t("deed.verdict", { text: found.text }));
  } catch (error) {
    fill(place, error instanceof Error ? error.message : t("page.failed"));
  }
}

/**
 * @param {Action} action
 * @param {string} path
 */
function step(action, path) {
  return ask({
    title: `${t(`deed.${path}`)}: ${action.title}`,
    hint: action.drill && path === "execute" ? t("deed.drill") : t(`deed.${path}.hint`),
    fields: [
      path === "execute" ? at("at", "field.when", { hint: "field.when.hint" }) : null,
      path === "verify" && action.proof ? check("vouched", "deed.vouched") : null,
      lines("note", "action.acknowledge.note", { rows: 2, required: true }),
    ],
    confirm: t(`deed.${path}`),
    send: (values) => {
      /** @type {Record<string, unknown>} */
      const body = { note: String(values.get("note")) };
      if (path === "execute") body["at"] = moment(values.get("at"));
      if (path === "verify") body["vouched"] = values.get("vouched") !== null;
      return call("POST", `/api/actions/${action.id}/${path}`, { body, etag: `"${action.version}"` });
    },
  });
}

/** How long an action may be carried out, where nobody says otherwise. */
const WINDOW_MILLISECONDS = 4 * 3_600_000;

/** What traffic may have to show, and that it need not show anything. @type {Record<string, string>} */
const KINDS = { silent_writer: "deed.proof.writer", silent_host: "deed.proof.host", nothing: "deed.proof.none" };

/** The kind of proof that was chosen; null where traffic need not show anything. @param {FormDataEntryValue | null} kind */
const shown = (kind) => (kind === "nothing" ? null : written(kind));

/** Techniques of attacks that write, of ATT&CK for ICS: a message that was not allowed, parameters that were changed, many writes. */
const WRITES = ["T1692.001", "T0836", "T0806"];

/** Alerts that are looked through for who attacks: those that rank highest. */
const RANKED = "500";

/**
 * What traffic shall show, by the alert of an incident that ranks highest of those that say who attacked whom; null where none does.
 * @param {import("./incident.js").Incident} incident
 * @param {import("./api.js").Session} session
 * @returns {Promise<{kind: string, client: string, server: string, title: string} | null>}
 */
async function fitting(incident, session) {
  if (!incident.alert_count || !may(session, "alert.read")) return null;
  /** @type {{items: import("./api.js").AlertItem[]}} */
  const { items } = await get("/api/alerts", { state: "escalated", site: incident.site, drill: String(incident.drill), sort: "-rank", limit: RANKED });
  for (const each of items) {
    const { "client.ip": client, "server.ip": server, title } = each;
    if (each.triage.incident !== incident.number || !client || !server) continue;
    // Who never wrote was never seen to write: that he writes no more would show nothing.
    return { kind: each.techniques.some((technique) => WRITES.includes(technique)) ? "silent_writer" : "silent_host", client, server, title };
  }
  return null;
}

/**
 * @param {import("./incident.js").Incident} incident
 * @param {import("./api.js").Session} session
 */
async function propose(incident, session) {
  const now = Date.now();
  const proof = await fitting(incident, session);
  const kinds = Object.entries(KINDS).map(([kind, key]) => /** @type {const} */ ([kind, t(key)]));
  return ask({
    title: t("deed.propose"),
    hint: t("deed.propose.hint"),
    wide: true,
    fields: [
      line("title", "deed.title", { required: true }),
      h("fieldset", {}, h("legend", {}, t("deed.safety")), SAFETY.map((each) => lines(each, `deed.${each}`, { rows: 2, maxlength: 2000, required: true }))),
      h(
        "fieldset",
        { class: "columns" },
        choice("kind", "deed.proof", proof ? kinds : [["", t("deed.proof.choose")], ...kinds], { value: proof && proof.kind, required: true }),
        line("client", "deed.proof.client", { maxlength: 45, value: proof?.client, required: proof !== null }),
        line("server", "deed.proof.server", { maxlength: 45, value: proof?.server }),
        line("minutes", "deed.proof.minutes", { type: "number", min: 1, max: 1440, value: 30 }),
      ),
      h("p", { class: "hint" }, proof && `${t("deed.proof.filled", { title: proof.title })} `, t("deed.proof.hint")),
      at("window_from", "deed.window_from", { value: new Date(now).toISOString(), required: true }),
      at("window_until", "deed.window_until", { value: new Date(now + WINDOW_MILLISECONDS).toISOString(), required: true }),
      reason(),
    ],
    confirm: t("deed.propose"),
    ready: (form) => {
      const client = /** @type {HTMLInputElement} */ (form.querySelector("[name=client]"));
      form.addEventListener("change", () => (client.required = shown(new FormData(form).get("kind")) !== null));
    },
    send: (values) => {
      const kind = shown(values.get("kind"));
      const body = {
        title: String(values.get("title")),
        safety: Object.fromEntries(SAFETY.map((each) => [each, String(values.get(each))])),
        proof: kind && { kind, client: written(values.get("client")), server: written(values.get("server")), minutes: Number(values.get("minutes")) },
        window_from: moment(values.get("window_from")),
        window_until: moment(values.get("window_until")),
        reason: String(values.get("reason")),
      };
      return call("POST", `/api/incidents/${incident.number}/actions`, { body });
    },
  });
}
