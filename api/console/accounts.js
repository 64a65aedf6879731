// All accounts, for who sees and manages them.

import { call, may } from "./api.js";
import { ask, labelled } from "./dialog.js";
import { h } from "./dom.js";
import { t, time } from "./texts.js";

const ROLES = ["viewer", "operator", "responder", "engineer", "administrator", "city_regulator", "province_regulator", "auditor"];

/** @typedef {{id: number, name: string, role: string, sites: string[] | null, version: number, disabled: boolean, password: boolean, provider: boolean, link_until: string | null, second_factor: boolean, locked_until: string | null}} User */

/**
 * @param {User[]} users
 * @param {import("./api.js").Session} session
 * @param {() => void} changed
 */
export function accounts(users, session, changed) {
  const manages = may(session, "user.manage");
  return h(
    "div",
    {},
    h("h2", {}, t("accounts.title")),
    manages && h("div", { class: "actions" }, h("button", { type: "button", onclick: async () => (await make()) && changed() }, t("accounts.make"))),
    users.map((each) => account(each, manages && !each.disabled && each.name !== session.name, changed)),
  );
}

/** @param {User} each @param {boolean} manageable @param {() => void} changed */
function account(each, manageable, changed) {
  const act = (/** @type {string} */ key, /** @type {() => Promise<unknown>} */ what) => h("button", { type: "button", onclick: async () => (await what()) && changed() }, t(key));
  return h(
    "section",
    { class: "exception" },
    h(
      "p",
      { class: "badges" },
      h("strong", {}, each.name),
      h("span", {}, t(`role.${each.role}`)),
      h("span", {}, each.sites === null ? t("account.sites.all") : each.sites.map((site) => site || t("accounts.sites.unnamed")).join(", ")),
      each.provider ? h("span", {}, t("accounts.provider")) : each.password ? null : h("span", {}, t("accounts.no_password")),
      each.second_factor ? h("span", {}, t("accounts.strong")) : null,
      each.disabled ? h("span", {}, t("accounts.disabled")) : null,
    ),
    each.link_until ? h("p", { class: "hint" }, `${t("accounts.link.until")} `, time(each.link_until)) : null,
    each.locked_until ? h("p", { class: "hint" }, `${t("accounts.locked")} `, time(each.locked_until)) : null,
    manageable &&
      h(
        "div",
        { class: "actions" },
        act("action.change", () => change(each)),
        each.provider ? null : act("accounts.link", () => makeLink(each)),
        each.locked_until ? act("accounts.unlock", () => sure("accounts.unlock", each, `/api/users/${each.id}/lock`)) : null,
        each.second_factor ? act("accounts.reset", () => sure("accounts.reset", each, `/api/users/${each.id}/authenticator`)) : null,
        act("accounts.disable", () => sure("accounts.disable", each, `/api/users/${each.id}`)),
      ),
  );
}

/** @param {string} key @param {User} each @param {string} path */
const sure = (key, each, path) => ask({ title: `${t(key)}: ${each.name}`, fields: [], confirm: t(key), send: async () => (await call("DELETE", path, { etag: `"${each.version}"` }), true) });

/**
 * The controls of role and sites. All sites must be chosen: nobody gets them because a field is empty.
 * @param {string} role
 * @param {string[] | null} [sites] none where nothing was chosen yet
 */
const rights = (role, sites) => [
  labelled(t("accounts.role"), h("select", { id: "account-role", name: "role" }, ROLES.map((each) => h("option", { value: each, selected: each === role }, t(`role.${each}`))))),
  labelled(
    t("accounts.reach"),
    h(
      "select",
      { id: "account-reach", name: "reach", required: true },
      sites === undefined && h("option", { value: "" }, t("accounts.reach.choose")),
      h("option", { value: "all", selected: sites === null }, t("account.sites.all")),
      h("option", { value: "some", selected: Boolean(sites) }, t("accounts.reach.some")),
    ),
  ),
  labelled(t("accounts.sites"), h("textarea", { id: "account-sites", name: "sites", rows: 3 }, (sites ?? []).filter(Boolean).join("\n")), t("accounts.sites.hint")),
  h("label", { class: "radio" }, h("input", { type: "checkbox", name: "unnamed", checked: sites?.includes("") }), t("accounts.sites.unnamed")),
];

/** @param {FormData} values @param {string[]} [before] sites that are sent as they were */
function given(values, before = []) {
  const role = values.get("role");
  if (values.get("reach") === "all") return { role, sites: null };
  const lines = String(values.get("sites")).split(/\r?\n/).map((each) => (before.includes(each) ? each : each.trim()));
  const sites = [...(values.get("unnamed") ? [""] : []), ...lines.filter(Boolean)];
  if (!sites.length) throw new Error(t("accounts.sites.none"));
  return { role, sites };
}

/** Make an account; its owner chooses the password by the link that is shown then. */
async function make() {
  const made = await ask({
    title: t("accounts.make"),
    hint: t("accounts.make.hint"),
    fields: [labelled(t("account.name"), h("input", { id: "account-name", name: "name", required: true, maxlength: 64, autocomplete: "off" })), ...rights("operator")],
    confirm: t("accounts.make"),
    send: async (values) => (await call("POST", "/api/users", { body: { name: values.get("name"), ...given(values) } })).data,
  });
  return made && told(made.name, made.link);
}

/** Make a link by which the owner of an account chooses another password. @param {User} each */
async function makeLink(each) {
  const made = await ask({
    title: `${t("accounts.link")}: ${each.name}`,
    hint: t("accounts.link.text"),
    fields: [],
    confirm: t("accounts.link.again"),
    send: async () => (await call("POST", `/api/users/${each.id}/link`)).data,
  });
  return made && told(each.name, made);
}

/**
 * Show a link, once.
 * @param {string} name of the account
 * @param {{path: string, expires_at: string}} link
 */
async function told(name, link) {
  await ask({
    title: `${t("accounts.link")}: ${name}`,
    fields: [h("p", {}, `${t("accounts.link.once", { name })} `, time(link.expires_at)), h("ul", { class: "once" }, h("li", {}, h("code", {}, `${location.origin}${link.path}`)))],
    confirm: t("account.noted"),
    send: async () => true,
  });
  return true;
}

/** @param {User} each */
function change(each) {
  return ask({
    title: each.name,
    hint: t("accounts.change.hint"),
    fields: rights(each.role, each.sites),
    confirm: t("action.change"),
    send: async (values) => (await call("PUT", `/api/users/${each.id}`, { body: given(values, each.sites ?? []), etag: `"${each.version}"` })).data,
  });
}
