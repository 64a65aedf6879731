// Exceptions of the sites: who made them, why, until when; looked at, made, changed, withdrawn.

import { call, may } from "./api.js";
import { ask, labelled } from "./dialog.js";
import { fill, h } from "./dom.js";
import { local, moment } from "./forms.js";
import { called, choiceOfSite, siteOf, sites } from "./sites.js";
import { number, t, time } from "./texts.js";

const KINDS = ["suppress", "normal"];

/**
 * @typedef {{name: string, kind: string, rules: string[], clients: string[], servers: string[], target: Record<string, string>, start?: string | null, end: string | null, reason?: string}} Scope
 * @typedef {Scope & {site: string, origin: string, state: string, by: string, version: number, hidden: number, reason: string}} Exception
 */

/** @param {FormDataEntryValue | null} value */
const several = (value) => String(value ?? "").split(",").map((part) => part.trim()).filter(Boolean);

/** @param {FormData} values */
function scopeOf(values) {
  const pairs = several(values.get("target")).map((part) => part.split("="));
  return {
    kind: String(values.get("kind")),
    rules: several(values.get("rules")),
    clients: several(values.get("clients")),
    servers: several(values.get("servers")),
    target: Object.fromEntries(pairs.map(([name, ...rest]) => [name ?? "", rest.join("=")])),
    start: moment(values.get("start")),
    end: moment(values.get("end")),
  };
}

/**
 * Ask for an exception: its site where there are several, its scope, a look at what it would have hidden, and only then put it in force.
 * @param {Partial<Scope>} known what is filled in
 * @param {{site?: string, alert?: string, version?: number}} [about] the site that it is of, where that is not to be chosen; the alert of that site that it
 *   is made for; the version that is changed
 * @returns {Promise<unknown>} null where the person turned back
 */
export async function except(known, { site, alert, version } = {}) {
  // Where they cannot be told, the API says in the form that one must be named.
  const place = choiceOfSite(await sites().catch(() => []), { site, fixed: true });
  const input = (/** @type {string} */ name, /** @type {string} */ value, /** @type {Record<string, unknown>} */ more = {}) =>
    h("input", { id: `except-${name}`, name, value, autocomplete: "off", ...more });
  const kind = h(
    "select",
    { id: "except-kind", name: "kind" },
    KINDS.map((each) => h("option", { value: each, selected: each === (known.kind ?? "suppress") }, t(`except.kind.${each}`))),
  );
  const target = Object.entries(known.target ?? {}).map(([name, value]) => `${name}=${value}`).join(", ");
  const preview = h("div", { class: "preview", role: "status" });
  /** What is meant, and where: that of an alert is of its site. @param {FormData} values */
  const asked = (values) => ({ ...scopeOf(values), ...(alert === undefined ? siteOf(values) : { alert }) });
  /** What was looked at, and how many alerts it would have hidden. @type {{scope: string, hides: number} | null} */
  let seen = null;
  const look = h("button", { type: "button" }, t("action.look"));
  return ask({
    title: t("except.title"),
    fields: [
      labelled(t("except.name"), input("name", known.name ?? "", { required: true, maxlength: 64, pattern: "[A-Za-z0-9][A-Za-z0-9_.\\-]*", readonly: version !== undefined })),
      place,
      labelled(t("except.kind"), kind),
      labelled(t("except.rules"), input("rules", (known.rules ?? []).join(", ")), t("except.several")),
      labelled(t("except.clients"), input("clients", (known.clients ?? []).join(", "))),
      labelled(t("except.servers"), input("servers", (known.servers ?? []).join(", "))),
      labelled(t("except.target"), input("target", target)),
      labelled(t("except.start"), input("start", local(known.start), { type: "datetime-local" })),
      labelled(t("except.end"), input("end", local(known.end), { type: "datetime-local" })),
      labelled(t("action.reason"), h("textarea", { id: "except-reason", name: "reason", rows: 2, required: true, maxlength: 1000 }, known.reason ?? "")),
      look,
      preview,
    ],
    confirm: t("action.put"),
    ready: (form, submit) => {
      const changed = () => {
        submit.disabled = seen === null || seen.scope !== JSON.stringify(asked(new FormData(form)));
      };
      form.addEventListener("input", changed);
      look.addEventListener("click", async () => {
        const scope = asked(new FormData(form));
        try {
          const { data } = await call("POST", "/api/exceptions/preview", { body: scope });
          seen = { scope: JSON.stringify(scope), hides: data.hides };
          fill(preview, shown(data));
        } catch (error) {
          seen = null;
          fill(preview, h("p", { class: "problem" }, error instanceof Error ? error.message : String(error)));
        }
        changed();
      });
      changed();
    },
    send: async (values) => {
      const decided = { reason: String(values.get("reason")), seen: seen?.hides ?? 0 };
      const name = String(values.get("name"));
      // One that is changed stays at its site.
      if (version !== undefined) return (await call("PUT", `/api/exceptions/${encodeURIComponent(name)}`, { body: { ...scopeOf(values), ...decided }, etag: `"${version}"` })).data;
      return (await call("POST", "/api/exceptions", { body: { ...asked(values), ...decided, name } })).data;
    },
  });
}

/** @param {{hides: number, undecided: number, right: number, severities: Record<string, number>, alerts: string[], limited: boolean}} data */
function shown(data) {
  const severities = Object.entries(data.severities).map(([severity, count]) => h("span", { class: `pill sev-${severity}` }, `${t(`severity.${severity}`)} ${number(count)}`));
  return [
    h("p", {}, t("except.preview", { count: number(data.hides), undecided: number(data.undecided) })),
    severities.length ? h("p", { class: "badges" }, severities) : null,
    data.right ? h("p", { class: "problem" }, t("except.preview.right", { count: number(data.right) })) : null,
    data.limited ? h("p", { class: "hint" }, t("except.preview.limited")) : null,
  ];
}

/**
 * The exceptions of the sites.
 * @param {Exception[]} found
 * @param {{permissions: string[]}} session
 * @param {boolean} sited whether there are several sites: each is told with its own
 * @param {() => void} changed called when one was changed
 */
export function exceptionList(found, session, sited, changed) {
  if (!found.length) return h("p", { class: "hint" }, t("tuning.exceptions.none"));
  return h("ul", { class: "exceptions" }, found.map((each) => item(each, session, sited, changed)));
}

/** @param {Exception} each @param {{permissions: string[]}} session @param {boolean} sited @param {() => void} changed */
function item(each, session, sited, changed) {
  const scope = [...each.rules, ...each.clients, each.servers.length ? `→ ${each.servers.join(", ")}` : "", ...Object.entries(each.target).map(([name, value]) => `${name}=${value}`)];
  const holds = ["waiting", "planned", "in_force"].includes(each.state);
  return h(
    "li",
    // The files of two sites may use a name twice, and people one of a file.
    { "data-key": JSON.stringify([each.site, each.origin, each.name]) },
    h(
      "p",
      { class: "badges" },
      h("strong", {}, each.name),
      sited && h("span", { class: "by" }, called(each.site)),
      h("span", { class: `state ${each.state}` }, t(`tuning.state.${each.state}`)),
      h("span", { class: "by" }, t(`except.kind.${each.kind}`)),
      h("span", { class: "by" }, t(`tuning.origin.${each.origin}`)),
    ),
    h("p", {}, h("code", {}, scope.filter(Boolean).join(" · "))),
    h("p", {}, t("tuning.by", { name: each.by, reason: each.reason })),
    h("p", { class: "hint" }, each.end ? [`${t("except.end")} `, time(each.end)] : t("tuning.endless"), ` · ${t("tuning.hidden", { count: number(each.hidden) })}`),
    holds && each.origin === "people" && may(session, "exception.write")
      ? h(
          "div",
          { class: "actions" },
          h("button", { type: "button", onclick: async () => (await except(each, { site: each.site, version: each.version })) && changed() }, t("action.change")),
          h("button", { type: "button", onclick: async () => (await withdraw(each, sited)) && changed() }, t("action.withdraw")),
        )
      : null,
  );
}

/** @param {Exception} each @param {boolean} sited */
function withdraw(each, sited) {
  return ask({
    title: t("action.withdraw"),
    hint: sited ? `${each.name} · ${called(each.site)}` : each.name,
    fields: [labelled(t("action.reason"), h("textarea", { id: "withdraw-reason", name: "reason", rows: 2, required: true, maxlength: 1000 }))],
    confirm: t("action.withdraw"),
    send: async (values) =>
      (await call("POST", `/api/exceptions/${encodeURIComponent(each.name)}/withdraw`, { body: { reason: String(values.get("reason")) }, etag: `"${each.version}"` })).data,
  });
}
