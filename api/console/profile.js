// The page of one's own account: second factor, tokens, sessions; for who manages accounts, all of them.

import { accounts } from "./accounts.js";
import { call, get, may } from "./api.js";
import { ask, labelled } from "./dialog.js";
import { append, fill, h, icon, qr } from "./dom.js";
import { canShow, make, proven } from "./passkey.js";
import { number, t, time } from "./texts.js";

/** Place of the page, behind the address's #. */
export const PROFILE = "/account";

/**
 * @typedef {{id: string, user: string, created_at: string, seen_at: string, address: string, agent: string, current: boolean}} SessionItem
 * @typedef {{id: string, user: string, name: string, permissions: string[], created_at: string, expires_at: string, used_at: string | null}} Token
 * @typedef {{id: string, name: string, created_at: string, used_at: string | null}} Passkey
 * @typedef {{password: boolean, authenticator: boolean, recovery_codes: number}} Factor
 */

export class Profile {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.session = session;
    this.round = 0;
    this.element = h("section", { class: "tuning profile", tabindex: -1, hidden: true, "aria-label": t("page.account") });
  }

  /** Show the page as things are now. */
  async open() {
    const round = ++this.round;
    this.element.hidden = false;
    if (!this.element.childElementCount) fill(this.element, h("p", { class: "loading" }, t("page.loading")));
    try {
      const managed = may(this.session, "user.read") ? get("/api/users") : null;
      const own = [get("/api/account/authenticator"), get("/api/account/passkeys"), get("/api/tokens"), get("/api/sessions")];
      const [factor, passkeys, tokens, sessions, users] = await Promise.all([...own, managed]);
      if (round !== this.round) return;
      this.draw(factor, passkeys, tokens, sessions, users);
    } catch (error) {
      if (round !== this.round) return;
      fill(this.element, this.bar(), h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : t("page.failed")));
    }
  }

  close() {
    this.round += 1;
    this.element.hidden = true;
    fill(this.element);
  }

  bar() {
    return h("div", { class: "bar" }, h("a", { class: "button quiet", href: "#" }, icon("previous"), t("tuning.back")));
  }

  /**
   * @param {Factor} factor
   * @param {Passkey[]} passkeys
   * @param {Token[]} tokens
   * @param {SessionItem[]} sessions
   * @param {import("./accounts.js").User[] | null} users
   */
  draw(factor, passkeys, tokens, sessions, users) {
    const changed = () => this.open();
    const sites = this.session.sites === null ? t("account.sites.all") : this.session.sites.join(", ");
    fill(
      this.element,
      this.bar(),
      h("h2", {}, this.session.name),
      h("p", { class: "hint" }, `${t(`role.${this.session.role}`)} · ${sites}`),
      h("h2", {}, t("factor.title")),
      authenticator(factor, changed),
      factor.password && h("h2", {}, t("passkey.title")),
      factor.password && h("p", { class: "hint" }, t("passkey.hint")),
      factor.password && canShow() && h("div", { class: "actions" }, h("button", { type: "button", onclick: async () => (await addPasskey(factor)) && changed() }, t("passkey.add"))),
      passkeys.map((each) => passkey(each, factor, changed)),
      h("h2", {}, t("token.title")),
      h("p", { class: "hint" }, t("token.hint")),
      h("div", { class: "actions" }, h("button", { type: "button", onclick: async () => (await makeToken(this.session)) && changed() }, t("token.make"))),
      tokens.map((each) => token(each, changed)),
      h("h2", {}, t("session.title")),
      sessions.map((each) => sessionItem(each, changed)),
    );
    if (users) append(this.element, [accounts(users, this.session, changed)]);
  }
}

/** @param {Factor} factor @param {() => void} changed */
function authenticator(factor, changed) {
  if (!factor.password) return h("p", { class: "hint" }, t("factor.elsewhere"));
  if (!factor.authenticator) {
    return h(
      "div",
      {},
      h("p", { class: "hint" }, t("factor.none")),
      h("div", { class: "actions" }, h("button", { type: "button", onclick: async () => (await addAuthenticator()) && changed() }, t("factor.add"))),
    );
  }
  return h(
    "div",
    {},
    h("p", { class: "hint" }, t("factor.there", { count: number(factor.recovery_codes) })),
    h("div", { class: "actions" }, h("button", { type: "button", onclick: async () => (await removeAuthenticator()) && changed() }, t("factor.remove"))),
  );
}

const password = () => labelled(t("account.password"), h("input", { id: "profile-password", name: "password", type: "password", required: true, autocomplete: "current-password", maxlength: 256 }));
const code = () => labelled(t("account.code"), h("input", { id: "profile-code", name: "code", required: true, autocomplete: "one-time-code", inputmode: "text", maxlength: 32 }));

/** Add an authenticator: the password, then a code of it, then the recovery codes, shown once. */
async function addAuthenticator() {
  const begun = await ask({
    title: t("factor.add"),
    fields: [password()],
    confirm: t("factor.next"),
    send: async (values) => (await proven("/api/account/authenticator", values)).data,
  });
  if (!begun) return null;
  const confirmed = await ask({
    title: t("factor.add"),
    hint: t("factor.scan"),
    fields: [qr(begun.picture, t("factor.picture")), h("p", {}, h("code", {}, begun.secret)), code()],
    confirm: t("factor.confirm"),
    send: async (values) => (await call("POST", "/api/account/authenticator/confirm", { body: { code: values.get("code") } })).data,
  });
  if (!confirmed) return null;
  return shown(t("factor.recovery"), t("factor.recovery.hint"), confirmed.codes);
}

/** Take the authenticator away. */
function removeAuthenticator() {
  return ask({
    title: t("factor.remove"),
    fields: [password(), code()],
    confirm: t("factor.remove"),
    send: async (values) => {
      await call("POST", "/api/account/authenticator/remove", { body: { password: values.get("password"), code: values.get("code") } });
      return true;
    },
  });
}

/**
 * Fields in which people show again who they are.
 * @param {Factor} factor
 */
const shownAgain = (factor) => (factor.authenticator ? [password(), code()] : [password()]);

/**
 * Add a passkey: a name and who is there, then the authenticator.
 * @param {Factor} factor
 */
function addPasskey(factor) {
  return ask({
    title: t("passkey.add"),
    fields: [labelled(t("passkey.name"), h("input", { id: "passkey-name", name: "name", required: true, maxlength: 64 })), ...shownAgain(factor)],
    confirm: t("passkey.add"),
    send: async (values) => {
      const { data } = await proven("/api/account/passkeys/begin", values);
      return (await call("POST", "/api/account/passkeys", { body: await make(data.options, String(values.get("name"))) })).data;
    },
  });
}

/** @param {Passkey} each @param {Factor} factor @param {() => void} changed */
function passkey(each, factor, changed) {
  const remove = () =>
    ask({
      title: `${t("passkey.remove")}: ${each.name}`,
      fields: shownAgain(factor),
      confirm: t("passkey.remove"),
      send: async (values) => (await proven(`/api/account/passkeys/${each.id}/remove`, values), true),
    });
  return h(
    "section",
    { class: "exception" },
    h("p", { class: "badges" }, h("strong", {}, each.name)),
    h("p", { class: "hint" }, `${t("passkey.used")} `, each.used_at ? time(each.used_at) : "–"),
    h("div", { class: "actions" }, h("button", { type: "button", onclick: async () => (await remove()) && changed() }, t("passkey.remove"))),
  );
}

/**
 * What is told once.
 * @param {string} title
 * @param {string} hint
 * @param {string[]} lines
 */
async function shown(title, hint, lines) {
  await ask({ title, hint, fields: [h("ul", { class: "once" }, lines.map((line) => h("li", {}, h("code", {}, line))))], confirm: t("account.noted"), send: async () => true });
  return true;
}

/** @param {import("./api.js").Session} session */
async function makeToken(session) {
  const made = await ask({
    title: t("token.make"),
    fields: [
      labelled(t("token.name"), h("input", { id: "token-name", name: "name", required: true, maxlength: 64 })),
      labelled(t("token.days"), h("input", { id: "token-days", name: "days", type: "number", required: true, min: 1, max: 366, value: 90 })),
      h("fieldset", { class: "boxes" }, h("legend", {}, t("token.permissions")), session.for_tokens.map((each) => h("label", {}, h("input", { type: "checkbox", name: "permission", value: each }), ` ${each}`))),
    ],
    confirm: t("token.make"),
    send: async (values) =>
      (await call("POST", "/api/tokens", { body: { name: values.get("name"), days: Number(values.get("days")), permissions: values.getAll("permission") } })).data,
  });
  return made && shown(made.name, t("token.once"), [made.token]);
}

/** @param {Token} each @param {() => void} changed */
function token(each, changed) {
  return h(
    "section",
    { class: "exception" },
    h("p", { class: "badges" }, h("strong", {}, each.name), h("span", {}, each.user)),
    h("p", {}, h("code", {}, each.permissions.join(" · "))),
    h("p", { class: "hint" }, `${t("token.until")} `, time(each.expires_at), ` · ${t("token.used")} `, each.used_at ? time(each.used_at) : "–"),
    h("div", { class: "actions" }, ending(`/api/tokens/${each.id}`, t("token.revoke"), changed)),
  );
}

/** @param {SessionItem} each @param {() => void} changed */
function sessionItem(each, changed) {
  return h(
    "section",
    { class: "exception" },
    h("p", { class: "badges" }, h("strong", {}, each.user), h("span", {}, each.address), each.current ? h("span", {}, t("session.current")) : null),
    h("p", { class: "hint" }, `${t("session.seen")} `, time(each.seen_at), ` · ${each.agent}`),
    each.current ? null : h("div", { class: "actions" }, ending(`/api/sessions/${each.id}`, t("session.end"), changed)),
  );
}

/** @param {string} path @param {string} label @param {() => void} changed */
function ending(path, label, changed) {
  const end = () => ask({ title: label, fields: [], confirm: label, send: async () => (await call("DELETE", path), true) });
  return h("button", { type: "button", onclick: async () => (await end()) && changed() }, label);
}
