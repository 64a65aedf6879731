// Saved views of the list of alerts: chosen, saved, shared, changed, removed, and the one to begin with.

import { call, get, may } from "./api.js";
import { ask, labelled } from "./dialog.js";
import { fill, h } from "./dom.js";
import { check, choice, line } from "./forms.js";
import { t } from "./texts.js";

const SHARED = ["nobody", "site", "organisation"];

/** The most views that the API gives at once. */
const MOST = "500";

/**
 * @typedef {{number: number, version: number, owner: string, name: string, filter: Record<string, string | number>, sort: string, shared: string,
 *   site: string | null, default: boolean}} View
 * @typedef {{filter: Record<string, string>, sort: string}} Shown
 */

export class Views {
  /**
   * @param {import("./api.js").Session} session
   * @param {{shown: () => Shown, show: (view: View) => void}} list
   */
  constructor(session, list) {
    this.session = session;
    this.list = list;
    /** @type {View[]} */
    this.views = [];
    this.chosen = 0;
    this.problem = h("span", { class: "problem", role: "alert" });
    this.element = h("div", { class: "views" });
  }

  /** Begin with the view that the account begins with; answers it. */
  async begin() {
    await this.load();
    const first = this.views.find((view) => view.default);
    this.chosen = first?.number ?? 0;
    this.draw();
    return first;
  }

  async load() {
    // Without views the list is as good as with them.
    this.views = (await get("/api/views", { limit: MOST }).catch(() => ({ items: [] }))).items;
    this.draw();
  }

  /** No view is shown. */
  leave() {
    this.chosen = 0;
    this.draw();
  }

  draw() {
    const focused = this.element.contains(document.activeElement);
    const view = this.views.find((each) => each.number === this.chosen);
    const option = (/** @type {View} */ each) =>
      h("option", { value: each.number, selected: each.number === this.chosen }, [each.name, each.owner === this.session.name ? "" : each.owner, each.default ? t("views.first") : ""].filter(Boolean).join(" · "));
    const select = h(
      "select",
      { "data-key": "view", onchange: (/** @type {Event} */ event) => this.choose(Number(/** @type {HTMLSelectElement} */ (event.currentTarget).value)) },
      h("option", { value: 0 }, t("views.none")),
      this.views.map(option),
    );
    const button = (/** @type {string} */ key, /** @type {() => Promise<unknown>} */ action) => h("button", { type: "button", class: "quiet small", onclick: () => this.act(action) }, t(key));
    const keeps = may(this.session, "alert.decide");
    const owns = view && keeps && (view.owner === this.session.name || may(this.session, "user.manage"));
    fill(
      this.element,
      h("label", { class: "choice" }, h("span", {}, t("views.label")), select),
      keeps && button("views.save", () => this.save()),
      owns && [button("views.change", () => this.save(view)), button("views.remove", () => this.remove(view))],
      view && button(view.default ? "views.first.no" : "views.first.yes", () => this.first(view.default ? null : view.number)),
      this.problem,
    );
    if (focused) select.focus();
  }

  /** @param {number} number */
  choose(number) {
    this.chosen = number;
    const view = this.views.find((each) => each.number === number);
    this.draw();
    if (view) this.list.show(view);
  }

  /** @param {() => Promise<unknown>} action */
  async act(action) {
    fill(this.problem);
    try {
      if (await action()) await this.load();
    } catch (error) {
      fill(this.problem, error instanceof Error ? error.message : String(error));
    }
  }

  /** Begin with a view, or with none. @param {number | null} view */
  async first(view) {
    const { etag } = await call("GET", "/api/account/default-view");
    await call("PUT", "/api/account/default-view", { body: { view }, etag });
    return true;
  }

  /** Keep what is shown as a view, or let a view be it. @param {View} [view] */
  async save(view) {
    const site = labelled(t("field.site"), h("input", { id: "ask-site", name: "site", value: view?.site ?? "", maxlength: 255, autocomplete: "off" }));
    /** Sent again because the rest failed, it is not made twice. @type {View | null} */
    let kept = null;
    const made = await ask({
      title: t(view ? "views.change" : "views.save"),
      hint: t("views.save.hint"),
      fields: [
        line("name", "views.name", { value: view?.name ?? "", required: true, maxlength: 64 }),
        choice("shared", "views.shared", SHARED.map((each) => /** @type {const} */ ([each, t(`views.shared.${each}`)])), { value: view?.shared ?? "nobody" }),
        site,
        check("first", "views.first.yes", view?.default ?? false),
      ],
      confirm: t("views.keep"),
      ready: (form) => {
        const changed = () => {
          const one = new FormData(form).get("shared") === "site";
          site.hidden = !one;
          /** @type {HTMLInputElement} */ (site.querySelector("input")).required = one;
        };
        form.addEventListener("change", changed);
        changed();
      },
      send: async (values) => {
        const shared = String(values.get("shared"));
        const body = { name: String(values.get("name")), ...this.list.shown(), shared, site: shared === "site" ? String(values.get("site")) : null };
        const before = kept ?? view;
        kept = /** @type {View} */ (
          before
            ? (await call("PUT", `/api/views/${before.number}`, { body, etag: `"${before.version}"` })).data
            : (await call("POST", "/api/views", { body })).data
        );
        const first = values.get("first") !== null;
        if (first !== kept.default) await this.first(first ? kept.number : null);
        return kept;
      },
    });
    if (made) this.chosen = made.number;
    return made;
  }

  /** @param {View} view */
  async remove(view) {
    const removed = await ask({
      title: t("views.remove"),
      hint: view.name,
      fields: [],
      confirm: t("views.remove"),
      send: async () => {
        await call("DELETE", `/api/views/${view.number}`, { etag: `"${view.version}"` });
        return true;
      },
    });
    if (removed) this.chosen = 0;
    return removed;
  }
}
