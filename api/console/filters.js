// The filters of the list of alerts: what is asked of the API, and which of the alerts that come in belong to it.

import { fill, h } from "./dom.js";
import { local, moment } from "./forms.js";
import { number, t } from "./texts.js";

/** @typedef {import("./api.js").AlertItem} AlertItem */

/** Parameters of `GET /api/alerts` by name; what is empty is not asked. @typedef {Record<string, string>} Asked */

export const SEVERITIES = ["critical", "high", "medium", "low", "informational"];
const STATES = ["!closed", "new", "triaging", "escalated", "closed", ""];
const SORTS = ["-rank", "-last_seen", "-count"];
const OVERLAYS = ["", "snoozed", "suppressed", "snoozed,suppressed"];
const PERIODS = ["", "-1h", "-8h", "-24h", "-7d"];

/** What the list begins with. @type {Asked} */
export const OPEN = { state: "!closed" };

/** What the bar has a control for; what a saved view asks besides is named and can be left out. */
const SHOWN = ["severity", "state", "ip", "assignee", "overlay", "rule", "site", "since", "until"];

/** What an alert has of each filter. @type {Record<string, (item: AlertItem) => (string | null)[]>} */
const VALUES = {
  severity: (item) => [item.severity],
  state: (item) => [item.triage.state],
  disposition: (item) => [item.triage.disposition],
  assignee: (item) => [item.triage.by],
  site: (item) => [item.site],
  rule: (item) => [item.rule],
  exception: (item) => [item.hidden_by],
  technique: (item) => item.techniques,
  "client.ip": (item) => [item["client.ip"]],
  "server.ip": (item) => [item["server.ip"]],
  ip: (item) => [item["client.ip"], item["server.ip"]],
  drill: (item) => [String(item.drill !== null)],
  overlay: (item) => [item.snooze && "snoozed", item.suppressed_by === null ? null : "suppressed"],
};

const UNITS = /** @type {Record<string, number>} */ ({ s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 });

/** When a time of the API is: `-24h` is so long ago. @param {string} told */
function timeOf(told) {
  const [, count, unit] = /^-(\d+)([smhd])$/.exec(told) ?? [];
  return count && unit ? Date.now() - Number(count) * (UNITS[unit] ?? 0) : Date.parse(told);
}

/**
 * Whether one of these values is asked for: `a,b` is any of them, `!a,b` none.
 * @param {string} wanted
 * @param {(string | null)[]} values
 */
function fits(wanted, values) {
  const list = wanted.replace(/^!/, "").split(",").map((each) => each.trim());
  return values.some((each) => each !== null && list.includes(each)) !== wanted.startsWith("!");
}

/**
 * Whether the API would have an alert in the list.
 * @param {Asked} asked
 * @param {AlertItem} item
 * @param {boolean} known whether it had it there
 */
export function matches(asked, item, known) {
  const { since, until, window, ...rest } = asked;
  const laid = Boolean(rest["overlay"] || window);
  const hidden = item.part_of !== null || (item.hidden_by !== null && !rest["exception"]) || (item.suppressed_by !== null && !laid);
  if (item.merged_into || (item.snooze && !laid) || (hidden && item.triage.state === "new")) return false;
  if (since && Date.parse(item.last_seen) < timeOf(since)) return false;
  if (until && Date.parse(item.first_seen) >= timeOf(until)) return false;
  // What a window has hidden once is not told with the alert.
  if (window && !known && item.suppressed_by !== Number(window)) return false;
  return Object.entries(rest).every(([name, wanted]) => !wanted || !VALUES[name] || fits(wanted, VALUES[name](item)));
}

const SEEN = /** @type {const} */ (["rule", "site"]);

export class Filters {
  /**
   * @param {import("./api.js").Session} session
   * @param {{changed: () => void, items: () => AlertItem[]}} list
   * @param {HTMLElement} views what chooses and keeps saved views
   */
  constructor(session, list, views) {
    this.session = session;
    this.list = list;
    /** @type {Asked} */
    this.asked = { ...OPEN };
    this.sort = "-rank";
    /** Whether rule, site and time are shown. */
    this.more = false;
    /** @type {{severity: string, state: string, count: number}[]} */
    this.counts = [];
    this.chips = h("div", { class: "chips" });
    this.choices = h("div", { class: "inline" });
    this.rare = h("div", { class: "choices more", id: "filters-more", hidden: true });
    this.element = h("div", { class: "filters", role: "group", "aria-label": t("filter.label") }, this.chips, h("div", { class: "choices" }, views, this.choices), this.rare);
  }

  /**
   * Ask for something else.
   * @param {Asked} asked
   * @param {string} [sort]
   */
  ask(asked, sort = this.sort) {
    this.asked = asked;
    this.sort = sort;
    this.list.changed();
  }

  /** @param {string} name @param {string} value */
  set(name, value) {
    this.ask({ ...this.asked, [name]: value.trim() });
  }

  /** What is asked of the API. @returns {Asked} */
  filter() {
    return Object.fromEntries(Object.entries(this.asked).filter(([, value]) => value !== ""));
  }

  draw() {
    const focused = document.activeElement instanceof HTMLElement && this.element.contains(document.activeElement) ? document.activeElement : null;
    // What is being typed is not drawn anew under the hands.
    if (focused instanceof HTMLInputElement) return;
    const key = focused?.dataset["key"];
    fill(this.chips, this.severities());
    fill(this.choices, this.always(), this.others());
    this.rare.hidden = !this.more;
    fill(this.rare, this.more && this.further());
    if (key) /** @type {HTMLElement | null} */ (this.element.querySelector(`[data-key="${key}"]`))?.focus();
  }

  /** The counts have changed: the texts alone, as a list of choices may be open. */
  recount() {
    for (const severity of SEVERITIES) {
      const shown = this.chips.querySelector(`[data-key="${severity}"] .chip-count`);
      if (shown) shown.textContent = number(this.severe(severity));
    }
    for (const [state, name] of this.states()) {
      const shown = this.choices.querySelector(`[data-key="state"] option[value="${state}"]`);
      if (shown) shown.textContent = name;
    }
    for (const name of SEEN) {
      const offered = this.rare.querySelector(`#filter-${name}s`);
      if (offered) fill(offered, this.seen(name));
    }
  }

  /** What alerts that are shown have: offered where it is asked for. @param {typeof SEEN[number]} name */
  seen(name) {
    const values = [...new Set(this.list.items().map((item) => item[name]))].filter(Boolean).sort();
    return values.map((value) => h("option", { value }));
  }

  /** How many alerts of a severity the state that is asked for has. @param {string} severity */
  severe(severity) {
    const state = this.asked["state"] ?? "";
    return this.count((each) => each.severity === severity && (!state || fits(state, [each.state])));
  }

  severities() {
    const chosen = new Set((this.asked["severity"] ?? "").split(",").filter(Boolean));
    const toggle = (/** @type {string} */ severity) => {
      if (!chosen.delete(severity)) chosen.add(severity);
      this.set("severity", SEVERITIES.filter((each) => chosen.has(each)).join(","));
    };
    return SEVERITIES.map((severity) =>
      h(
        "button",
        { type: "button", class: `chip sev-${severity}`, "aria-pressed": chosen.has(severity), "data-key": severity, onclick: () => toggle(severity) },
        h("span", { class: "dot" }),
        t(`severity.${severity}`),
        h("span", { class: "chip-count" }, number(this.severe(severity))),
      ),
    );
  }

  /** @param {(entry: {severity: string, state: string}) => boolean} wanted */
  count(wanted) {
    return this.counts.filter(wanted).reduce((total, entry) => total + entry.count, 0);
  }

  /** States that can be asked for, each with what it is called and how many alerts there are. */
  states() {
    return STATES.map((state) => {
      const name = state === "!closed" ? "filter.open" : state === "" ? "filter.all" : `state.${state}`;
      return /** @type {const} */ ([state, `${t(name)} (${number(this.count((each) => !state || fits(state, [each.state])))})`]);
    });
  }

  always() {
    const people = /** @type {const} */ ([["", t("filter.assignee.any")], [this.session.name, t("filter.assignee.mine")]]);
    return [
      this.select("state", this.states()),
      this.select("sort", SORTS.map((sort) => [sort, t(`filter.sort.${sort.slice(1)}`)]), this.sort, (value) => this.ask(this.asked, value)),
      this.select("assignee", people),
      this.select("overlay", OVERLAYS.map((each) => [each, t(`filter.overlay.${each.replace(",", "_") || "none"}`)])),
      this.input("ip", "filter.address", "filter.address.hint", { maxlength: 45 }),
      h(
        "button",
        { type: "button", class: "quiet small", "data-key": "more", "aria-expanded": String(this.more), "aria-controls": "filters-more", onclick: () => this.open() },
        t("filter.more"),
      ),
    ];
  }

  /** Show or hide what is asked more rarely. */
  open() {
    this.more = !this.more;
    this.draw();
  }

  further() {
    const named = (/** @type {typeof SEEN[number]} */ name) => h("datalist", { id: `filter-${name}s` }, this.seen(name));
    const at = (/** @type {"since" | "until"} */ name) => {
      const given = this.asked[name] ?? "";
      return h(
        "label",
        { class: "told" },
        h("span", {}, t(`filter.${name}`)),
        h("input", {
          type: "datetime-local",
          "data-key": name,
          value: given.startsWith("-") ? "" : local(given),
          onchange: (/** @type {Event} */ event) => this.set(name, moment(/** @type {HTMLInputElement} */ (event.currentTarget).value) ?? ""),
        }),
      );
    };
    const since = this.asked["since"] ?? "";
    const periods = PERIODS.map((each) => /** @type {const} */ ([each, t(`filter.period.${each.slice(1) || "any"}`)]));
    return [
      this.input("rule", "filter.rule", "filter.rule", { list: "filter-rules", maxlength: 128 }),
      named("rule"),
      this.input("site", "filter.site", "filter.site", { list: "filter-sites", maxlength: 255 }),
      named("site"),
      this.select("period", since && !since.startsWith("-") ? [...periods, [since, t("filter.period.own")]] : periods, since, (value) => this.set("since", value)),
      at("since"),
      at("until"),
    ];
  }

  /** What a saved view asks besides: each can be left out. */
  others() {
    const found = Object.entries(this.filter()).filter(([name]) => !SHOWN.includes(name));
    return found.map(([name, value]) =>
      h("button", { type: "button", class: "chip", "data-key": name, title: t("filter.leave_out"), onclick: () => this.set(name, "") }, `${name} ${value} `, h("span", { "aria-hidden": "true" }, "×")),
    );
  }

  /**
   * One of several; what a saved view asks that is none of them is there too.
   * @param {string} name
   * @param {readonly (readonly [string, string])[]} options value and text
   * @param {string} [value]
   * @param {(value: string) => void} [set]
   */
  select(name, options, value = this.asked[name] ?? "", set = (chosen) => this.set(name, chosen)) {
    const shown = options.some((each) => each[0] === value) ? options : [...options, /** @type {const} */ ([value, value])];
    const chosen = (/** @type {Event} */ event) => set(/** @type {HTMLSelectElement} */ (event.currentTarget).value);
    return h(
      "label",
      { class: "choice" },
      h("span", {}, t(`filter.${name}`)),
      h("select", { "data-key": name, onchange: chosen }, shown.map((each) => h("option", { value: each[0], selected: each[0] === value }, each[1]))),
    );
  }

  /**
   * @param {string} name
   * @param {string} placeholder key of the catalogue
   * @param {string} label key of the catalogue
   * @param {Record<string, unknown>} more attributes
   */
  input(name, placeholder, label, more) {
    return h("input", {
      type: "search",
      "data-key": name,
      value: this.asked[name] ?? "",
      placeholder: t(placeholder),
      "aria-label": t(label),
      autocomplete: "off",
      onchange: (/** @type {Event} */ event) => this.set(name, /** @type {HTMLInputElement} */ (event.currentTarget).value),
      ...more,
    });
  }
}
