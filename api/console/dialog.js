// A dialog that asks a person and sends the answer; problems are told in it.

import { Problem, forget } from "./api.js";
import { h } from "./dom.js";
import { t } from "./texts.js";

/**
 * Ask, and send the answer. Resolves with what `send` answered, or null where the person turned back.
 * @template T
 * @param {{title: string, hint?: string, fields: (Node | null)[], confirm: string, wide?: boolean, send: (values: FormData) => Promise<T>, ready?: (form: HTMLFormElement, submit: HTMLButtonElement) => void}} question
 * @returns {Promise<T | null>}
 */
export function ask({ title, hint, fields, confirm, wide = false, send, ready }) {
  const problem = h("p", { class: "problem", role: "alert" });
  const submit = h("button", { type: "submit", class: "primary" }, confirm);
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "dialog-title" }, title),
    hint ? h("p", { class: "hint" }, hint) : null,
    fields,
    problem,
    h("div", { class: "actions end" }, h("button", { type: "button", class: "quiet", value: "cancel", onclick: () => dialog.close() }, t("action.cancel")), submit),
  );
  const dialog = h("dialog", { class: wide ? "wide" : "", "aria-labelledby": "dialog-title" }, form);
  ready?.(form, submit);
  document.body.append(dialog);
  dialog.showModal();
  /** @type {HTMLElement | null} */ (form.querySelector("input, textarea, select"))?.focus();
  return new Promise((resolve) => {
    /** @type {T | null} */
    let answered = null;
    dialog.addEventListener("close", () => {
      dialog.remove();
      forget();
      resolve(answered);
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      submit.disabled = true;
      problem.textContent = "";
      try {
        answered = await send(new FormData(form));
        dialog.close();
      } catch (error) {
        problem.textContent = error instanceof Error ? error.message : String(error);
        // What somebody else has changed meanwhile is looked at first; what was written stays here to be copied.
        if (error instanceof Problem && error.status === 412) return;
      }
      submit.disabled = false;
    });
  });
}

/**
 * A labelled control of a dialog.
 * @param {string} label
 * @param {HTMLElement} control with an id
 * @param {string} [hint]
 */
export function labelled(label, control, hint) {
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, hint ? h("p", { class: "hint" }, hint) : null);
}
