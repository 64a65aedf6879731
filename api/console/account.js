// The pages before the console: setting up, signing in.

import { Problem, call, keep } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { canShow, show } from "./passkey.js";
import { language, speak, t } from "./texts.js";

/**
 * The switch to the other language.
 * @param {() => void} redraw
 */
export function languageSwitch(redraw) {
  const other = language() === "en" ? "zh-CN" : "en";
  return h(
    "button",
    {
      type: "button",
      class: "quiet language",
      lang: other,
      "aria-label": t("page.language.label"),
      onclick: async () => {
        await speak(other);
        redraw();
      },
    },
    t("page.language"),
  );
}

/** The product's mark and name. */
export function brand() {
  return h("span", { class: "brand" }, h("span", { class: "mark" }, icon("wave")), h("span", {}, "icsight"));
}

/**
 * @param {HTMLElement} root
 * @param {() => void} redraw
 * @param {...(Node | null)} content
 */
function card(root, redraw, ...content) {
  const box = h("main", { class: "card" }, h("div", { class: "card-head" }, brand(), languageSwitch(redraw)), content);
  fill(root, h("div", { class: "entry" }, box, h("p", { class: "tagline" }, t("page.tagline"))));
  const first = box.querySelector("input");
  if (first) first.focus();
}

/**
 * A labelled input.
 * @param {string} name
 * @param {string} label
 * @param {Record<string, unknown>} attributes
 * @param {string} [hint]
 */
function field(name, label, attributes, hint) {
  const id = `field-${name}`;
  const described = hint ? { "aria-describedby": `${id}-hint` } : {};
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    h("input", { id, name, required: true, ...described, ...attributes }),
    hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null,
  );
}

/**
 * A form that sends its values and shows the problem where there is one.
 * @param {string} label of the button
 * @param {HTMLElement[]} fields
 * @param {(values: Record<string, string>) => Promise<void>} send
 */
function form(label, fields, send) {
  const problem = h("p", { class: "problem", role: "alert" });
  const submit = h("button", { type: "submit", class: "primary" }, label);
  return h(
    "form",
    {
      onsubmit: async (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        const values = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
        submit.disabled = true;
        problem.textContent = "";
        try {
          await send(Object.fromEntries([...values].map(([name, value]) => [name, String(value)])));
        } catch (error) {
          problem.textContent = error instanceof Error ? error.message : String(error);
        }
        submit.disabled = false;
      },
    },
    fields,
    problem,
    submit,
  );
}

/**
 * The page behind the setup link.
 * @param {HTMLElement} root
 * @param {string} token of the link
 * @param {() => void} done
 */
export function setUp(root, token, done) {
  const redraw = () => setUp(root, token, done);
  document.title = `${t("setup.title")} · icsight`;
  if (!token) {
    card(root, redraw, h("h1", {}, t("setup.needed.title")), h("p", {}, t("setup.needed.text")));
    return;
  }
  const fields = [
    field("name", t("account.name"), { autocomplete: "username", maxlength: 64 }),
    field("password", t("account.password"), { type: "password", autocomplete: "new-password", minlength: 12, maxlength: 256 }, t("account.password.hint")),
    field("again", t("account.password.again"), { type: "password", autocomplete: "new-password", maxlength: 256 }),
  ];
  const send = async (/** @type {Record<string, string>} */ values) => {
    if (values.password !== values.again) throw new Error(t("account.password.differs"));
    const { data } = await call("POST", "/api/setup", { body: { token, name: values.name, password: values.password } });
    keep(data);
    done();
  };
  card(root, redraw, h("h1", {}, t("setup.title")), h("p", {}, t("setup.text")), form(t("setup.submit"), fields, send));
}

/**
 * The page behind the one-time link by which the owner of an account chooses its password.
 * @param {HTMLElement} root
 * @param {{name: string, token: string}} link
 */
export function choosePassword(root, link) {
  const redraw = () => choosePassword(root, link);
  document.title = `${t("password_link.title")} · icsight`;
  if (!link.token) {
    card(root, redraw, h("h1", {}, t("password_link.title")), h("p", {}, t("password_link.none")));
    return;
  }
  const fields = [
    field("name", t("account.name"), { autocomplete: "username", value: link.name, readonly: true }),
    field("password", t("account.password"), { type: "password", autocomplete: "new-password", minlength: 12, maxlength: 256 }, t("account.password.hint")),
    field("again", t("account.password.again"), { type: "password", autocomplete: "new-password", maxlength: 256 }),
  ];
  const send = async (/** @type {Record<string, string>} */ values) => {
    if (values.password !== values.again) throw new Error(t("account.password.differs"));
    await call("POST", "/api/password", { body: { token: link.token, password: values.password } });
    chosen(root);
  };
  card(root, redraw, h("h1", {}, t("password_link.title")), h("p", {}, t("password_link.text")), form(t("password_link.submit"), fields, send));
}

/** The way on once a password is chosen: nobody is signed in by a link. @param {HTMLElement} root */
function chosen(root) {
  card(root, () => chosen(root), h("h1", {}, t("password_link.title")), h("p", { role: "status" }, t("password_link.done")), h("a", { class: "button primary", href: "/" }, t("sign_in.title")));
}

/**
 * The ways to sign in without a password: a passkey, and the provider, which sends the browser back to `/sign-in/oidc`.
 * @param {string | null} name of the provider
 * @param {() => void} done
 * @param {string} told what went wrong on the way back from it
 */
function others(name, done, told) {
  const problem = h("p", { class: "problem", role: "alert" }, told);
  const way = (/** @type {string} */ label, /** @type {() => Promise<void>} */ go) => {
    const button = h("button", { type: "button" }, label);
    button.addEventListener("click", async () => {
      button.disabled = true;
      problem.textContent = "";
      try {
        await go();
      } catch (error) {
        problem.textContent = error instanceof Error ? error.message : String(error);
        button.disabled = false;
      }
    });
    return button;
  };
  const passkey = async () => {
    keep((await call("POST", "/api/passkeys/session", { body: await show(true) })).data);
    done();
  };
  const provider = async () => {
    const { data } = await call("POST", "/api/oidc/sign-in", { body: { place: location.hash.slice(0, 200) } });
    location.assign(data.address);
  };
  return h(
    "div",
    { class: "through" },
    problem,
    canShow() && way(t("passkey.sign_in"), passkey),
    name !== null && way(t("sign_in.provider", { name }), provider),
  );
}

/**
 * The sign-in page.
 * @param {HTMLElement} root
 * @param {string | null} provider its name, where people can sign in through one
 * @param {() => void} done
 * @param {string} [told] what went wrong on the way back from it
 */
export function signIn(root, provider, done, told = "") {
  document.title = `${t("sign_in.title")} · icsight`;
  const fields = [
    field("name", t("account.name"), { autocomplete: "username", maxlength: 64 }),
    field("password", t("account.password"), { type: "password", autocomplete: "current-password", maxlength: 256 }),
  ];
  const code = field("code", t("account.code"), { autocomplete: "one-time-code", maxlength: 32, required: false });
  code.hidden = true;
  const send = async (/** @type {Record<string, string>} */ values) => {
    const body = { name: values.name, password: values.password, code: values.code || null };
    try {
      keep((await call("POST", "/api/session", { body })).data);
    } catch (error) {
      if (error instanceof Problem && error.code === "passkey_needed" && canShow()) {
        keep((await call("POST", "/api/session", { body: { ...body, passkey: await show(false) } })).data);
        done();
        return;
      }
      if (error instanceof Problem && error.code === "code_needed") {
        code.hidden = false;
        code.querySelector("input")?.focus();
      }
      throw error;
    }
    done();
  };
  card(root, () => signIn(root, provider, done), h("h1", {}, t("sign_in.title")), form(t("sign_in.submit"), [...fields, code], send), others(provider, done, told));
}

