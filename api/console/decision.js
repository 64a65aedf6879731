// The forms in which a person decides about an alert.

import { call } from "./api.js";
import { h } from "./dom.js";
import { t } from "./texts.js";

const DISPOSITIONS = ["true_positive_impact", "true_positive_no_impact", "authorised_work", "false_positive", "duplicate", "insufficient_information"];

/**
 * Ask for the decision and send it. Answers the alert as it then is, or null where the person turned back.
 * @param {"acknowledge" | "close"} kind
 * @param {import("./api.js").Alert} alert
 * @param {string | null} etag
 * @returns {Promise<import("./api.js").AlertItem | null>}
 */
export function decide(kind, alert, etag) {
  const note = h("textarea", { id: "decision-note", name: "note", rows: 3, required: true, maxlength: 4000, placeholder: t(`action.${kind}.hint`) });
  const problem = h("p", { class: "problem", role: "alert" });
  const permit = h("input", { id: "decision-permit", name: "permit", maxlength: 64 });
  const permitField = h("div", { class: "field", hidden: true }, h("label", { for: "decision-permit" }, t("action.close.permit")), permit);
  const radios = DISPOSITIONS.map((disposition) =>
    h("label", { class: "radio" }, h("input", { type: "radio", name: "disposition", value: disposition, required: true }), h("span", {}, t(`disposition.${disposition}`))),
  );
  const submit = h("button", { type: "submit", class: "primary" }, t(`action.${kind}.confirm`));
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "decision-title" }, t(`action.${kind}`)),
    h("p", { class: "hint" }, alert.title),
    kind === "close" ? h("fieldset", {}, h("legend", {}, t("action.close.disposition")), radios) : null,
    kind === "close" ? permitField : null,
    h("div", { class: "field" }, h("label", { for: "decision-note" }, t(`action.${kind}.note`)), note),
    problem,
    h("div", { class: "actions end" }, h("button", { type: "button", class: "quiet", value: "cancel", onclick: () => dialog.close() }, t("action.cancel")), submit),
  );
  const dialog = h("dialog", { "aria-labelledby": "decision-title" }, form);
  form.addEventListener("change", () => {
    const authorised = new FormData(form).get("disposition") === "authorised_work";
    permitField.hidden = !authorised;
    permit.required = authorised;
  });
  document.body.append(dialog);
  dialog.showModal();
  (kind === "close" ? radios[0]?.querySelector("input") : note)?.focus();
  return new Promise((resolve) => {
    /** @type {import("./api.js").AlertItem | null} */
    let decided = null;
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(decided);
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const values = new FormData(form);
      /** @type {Record<string, string>} */
      const body = { note: String(values.get("note")) };
      if (kind === "close") {
        body["disposition"] = String(values.get("disposition"));
        if (body["disposition"] === "authorised_work") body["permit"] = String(values.get("permit"));
      }
      submit.disabled = true;
      try {
        decided = (await call("POST", `/api/alerts/${encodeURIComponent(alert.id)}/${kind}`, { body, etag })).data;
        dialog.close();
      } catch (error) {
        problem.textContent = error instanceof Error ? error.message : String(error);
      }
      submit.disabled = false;
    });
  });
}
