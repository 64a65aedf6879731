// Decisions about several alerts of the list at once, with one note.

import { call, get } from "./api.js";
import { DISPOSITIONS } from "./decision.js";
import { ask } from "./dialog.js";
import { fill, h } from "./dom.js";
import { choice, line, lines, written } from "./forms.js";
import { ended, results } from "./jobs.js";
import { number, t } from "./texts.js";

const ACTIONS = /** @type {const} */ (["acknowledge", "assign", "close"]);

/** What a job is about. @typedef {{ids: string[]} | {filter: Record<string, string>}} About */

export class Several {
  /**
   * @param {{ids: () => string[], filter: () => Record<string, string>, more: () => boolean, follow: (job: import("./jobs.js").Job) => void, chosen: () => void}} list
   */
  constructor(list) {
    this.list = list;
    /** Ids of the alerts that are chosen. @type {Set<string>} */
    this.picked = new Set();
    /** Whether all that the filters match are meant, also those that are not loaded. */
    this.all = false;
    this.problem = h("p", { class: "problem", role: "alert" });
    this.count = h("strong", { role: "status" });
    this.buttons = h("div", { class: "actions" });
    this.element = h("section", { class: "several", hidden: true, "aria-label": t("several.label") }, this.count, this.buttons, this.problem);
  }

  /**
   * The box that chooses an alert.
   * @param {import("./api.js").AlertItem} item
   */
  box(item) {
    return h("input", {
      type: "checkbox",
      class: "pick",
      checked: this.picked.has(item.id),
      "aria-label": t("several.pick", { title: item.title }),
      onchange: (/** @type {Event} */ event) => this.pick(item.id, /** @type {HTMLInputElement} */ (event.currentTarget).checked),
    });
  }

  /** @param {string} id @param {boolean} is */
  pick(id, is) {
    if (is) this.picked.add(id);
    else this.picked.delete(id);
    this.all = false;
    this.draw();
  }

  /** Something else is asked for: all that matches would be others than those that were meant. */
  narrow() {
    this.all = false;
    this.draw();
  }

  /** What the list holds has changed: what is not in it any more is not chosen. @param {(id: string) => boolean} has */
  keep(has) {
    for (const id of this.picked) if (!has(id)) this.picked.delete(id);
    this.draw();
  }

  /** Choose all that are shown, or none. @param {boolean} is */
  choose(is) {
    fill(this.problem);
    this.picked = new Set(is ? this.list.ids() : []);
    this.all = false;
    this.list.chosen();
    this.draw();
  }

  draw() {
    this.element.hidden = !this.picked.size;
    if (!this.picked.size) return;
    const focused = document.activeElement instanceof HTMLElement && this.buttons.contains(document.activeElement) ? document.activeElement.dataset["key"] : "";
    this.count.textContent = this.all ? t("several.all") : t("several.count", { count: number(this.picked.size) });
    const button = (/** @type {string} */ key, /** @type {string} */ label, /** @type {() => unknown} */ action, /** @type {string} */ kind = "small") =>
      h("button", { type: "button", class: kind, "data-key": key, onclick: action }, label);
    const everything = () => {
      this.all = !this.all;
      this.draw();
    };
    fill(
      this.buttons,
      ACTIONS.map((action) => button(action, t(`action.${action}`), () => this.decide(action))),
      button("shown", t("several.shown"), () => this.choose(true), "quiet small"),
      this.list.more() && h("button", { type: "button", class: "quiet small", "data-key": "all", "aria-pressed": String(this.all), onclick: everything }, t("several.everything")),
      button("none", t("several.none"), () => this.choose(false), "quiet small"),
    );
    if (focused) /** @type {HTMLElement | null} */ (this.buttons.querySelector(`[data-key="${focused}"]`))?.focus();
  }

  /** @param {typeof ACTIONS[number]} action */
  async decide(action) {
    fill(this.problem);
    try {
      /** @type {About} */
      const about = this.all ? { filter: this.list.filter() } : { ids: [...this.picked] };
      const job = await question(action, about, t(this.all ? "several.all" : "several.count", { count: number(this.picked.size) }), [...this.picked][0] ?? "");
      if (!job) return;
      this.choose(false);
      this.list.follow(job);
    } catch (error) {
      fill(this.problem, error instanceof Error ? error.message : String(error));
    }
  }
}

/**
 * Ask for a decision about several alerts, show what would come of it where that is asked for, and make it. Answers the job, or null.
 * @param {typeof ACTIONS[number]} action
 * @param {About} about
 * @param {string} hint how many they are
 * @param {string} first id of one of them
 * @returns {Promise<import("./jobs.js").Job | null>}
 */
async function question(action, about, hint, first) {
  /** @type {string[]} */
  const names = action === "assign" ? await get(`/api/alerts/${encodeURIComponent(first)}/assignees`) : [];
  const permit = line("permit", "action.close.permit", { maxlength: 64 });
  const preview = h("div", { class: "preview", role: "status" });
  const look = h("button", { type: "button" }, t("several.look"));
  const bodyOf = (/** @type {FormData} */ values, /** @type {boolean} */ dry) => {
    const disposition = action === "close" ? String(values.get("disposition")) : null;
    return {
      action,
      ...about,
      note: String(values.get("note")),
      disposition,
      permit: disposition === "authorised_work" ? written(values.get("permit")) : null,
      to: action === "assign" ? String(values.get("to")) : null,
      dry_run: dry,
    };
  };
  return ask({
    title: t(`action.${action}`),
    hint,
    fields: [
      action === "close" ? choice("disposition", "action.close.disposition", DISPOSITIONS.map((each) => /** @type {const} */ ([each, t(`disposition.${each}`)])), { required: true }) : null,
      action === "close" ? permit : null,
      action === "assign" ? choice("to", "action.assign.to", names.map((name) => /** @type {const} */ ([name, name])), { required: true }) : null,
      lines("note", "action.close.note", { required: true }),
      look,
      preview,
    ],
    confirm: t(`action.${action}`),
    ready: (form) => {
      const changed = () => {
        const authorised = new FormData(form).get("disposition") === "authorised_work";
        permit.hidden = !authorised;
        /** @type {HTMLInputElement} */ (permit.querySelector("input")).required = authorised;
      };
      form.addEventListener("change", changed);
      changed();
      look.addEventListener("click", async () => {
        if (!form.reportValidity()) return;
        look.disabled = true;
        fill(preview, t("page.loading"));
        try {
          const { data } = await call("POST", "/api/jobs", { body: bodyOf(new FormData(form), true) });
          const tried = await ended(data, () => !form.isConnected);
          fill(preview, h("p", {}, t("several.would", { done: number(tried.done), refused: number(tried.refused) })), results(tried));
        } catch (error) {
          fill(preview, h("p", { class: "problem" }, error instanceof Error ? error.message : String(error)));
        }
        look.disabled = false;
      });
    },
    send: async (values) => (await call("POST", "/api/jobs", { body: bodyOf(values, false) })).data,
  });
}
