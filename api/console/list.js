// The list of alerts: filters, pages, and rows that change as they happen.

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { number, t, time } from "./texts.js";

/** @typedef {import("./api.js").AlertItem} AlertItem */

export const SEVERITIES = ["critical", "high", "medium", "low", "informational"];
const STATES = ["new", "triaging", "escalated", "closed"];
const SORTS = /** @type {const} */ (["-rank", "-last_seen", "-count"]);

/** Alerts on a page. */
const PAGE = "50";

/**
 * What the list shows.
 * @typedef {{state: string, severity: Set<string>, sort: "-rank" | "-last_seen" | "-count", ip: string}} Filters
 */

/** What kinds of alert do to the order: the value to sort by. @type {Record<string, (item: AlertItem) => number>} */
const SORT_VALUES = { "-rank": (item) => item.rank, "-last_seen": (item) => Date.parse(item.last_seen), "-count": (item) => item.count };

export class AlertList {
  /** @param {(id: string) => void} open called when an alert is chosen */
  constructor(open) {
    this.open = open;
    /** @type {Filters} */
    this.filters = { state: "open", severity: new Set(), sort: "-rank", ip: "" };
    /** @type {Map<string, AlertItem>} */
    this.items = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.rows = new Map();
    /** @type {string | null} */
    this.next = null;
    this.chosen = "";
    this.stored = true;
    this.round = 0;
    /** @type {{severity: string, state: string, count: number}[]} */
    this.counts = [];
    this.bar = h("div", { class: "filters", role: "group", "aria-label": t("filter.severity") });
    this.head = h(
      "div",
      { class: "row head", "aria-hidden": "true" },
      ["severity", "alert", "count", "last", "state"].map((name) => h("span", { class: `c-${name}` }, t(`list.${name}`))),
    );
    this.list = h("ol", { class: "alerts", id: "alerts", tabindex: -1, "aria-label": t("page.alerts") });
    this.foot = h("div", { class: "foot" });
    this.element = h("section", { class: "list", "aria-label": t("page.alerts") }, this.bar, this.head, this.list, this.foot);
    this.list.addEventListener("keydown", (event) => this.move(event));
  }

  /** Load the first page anew. */
  async load() {
    const round = ++this.round;
    const [page] = await Promise.all([get("/api/alerts", this.query()), this.count()]);
    if (round !== this.round) return;
    this.items = new Map(page.items.map((/** @type {AlertItem} */ item) => [item.id, item]));
    this.rows.clear();
    this.next = page.next;
    if (!page.items.length && !this.total()) {
      const tables = await get("/api/records");
      this.stored = tables.some((/** @type {{rows: number}} */ table) => table.rows > 0);
    }
    this.draw();
  }

  /** Load the next page. */
  async more() {
    if (!this.next) return;
    const page = await get("/api/alerts", { ...this.query(), cursor: this.next });
    for (const item of page.items) this.items.set(item.id, item);
    this.next = page.next;
    this.draw();
  }

  /** @returns {Record<string, string>} */
  query() {
    const { state, severity, sort, ip } = this.filters;
    return { limit: PAGE, sort, severity: [...severity].join(","), ip, state: state === "open" ? "!closed" : state === "all" ? "" : state };
  }

  /** Count again, now and not more than once a second. */
  async count() {
    this.counts = await get("/api/alerts/counts");
    this.drawBar();
  }

  recount() {
    if (this.counting) return;
    this.counting = setTimeout(() => {
      this.counting = 0;
      this.count().catch(() => {});
    }, 1000);
  }

  /** Alerts of all severities and states. */
  total() {
    return this.counts.reduce((total, entry) => total + entry.count, 0);
  }

  /**
   * Whether an alert is one of those shown.
   * @param {AlertItem} item
   */
  matches(item) {
    const { state, severity, ip } = this.filters;
    const wanted = state === "all" || (state === "open" ? item.triage.state !== "closed" : item.triage.state === state);
    const hidden = item.part_of !== null || item.hidden_by !== null || item.suppressed_by !== null;
    const told = !item.snooze && !item.merged_into && !(hidden && item.triage.state === "new");
    return wanted && told && (!severity.size || severity.has(item.severity)) && (!ip || item["client.ip"] === ip || item["server.ip"] === ip);
  }

  /**
   * An alert is new or has changed.
   * @param {AlertItem} item
   */
  take(item) {
    const known = this.items.has(item.id);
    const last = [...this.items.values()].at(-1);
    const value = SORT_VALUES[this.filters.sort] ?? (() => 0);
    if (!this.matches(item)) {
      this.items.delete(item.id);
    } else if (known || !this.next || !last || value(item) >= value(last)) {
      this.items.set(item.id, item);
    }
    this.rows.delete(item.id);
    this.sort();
    this.draw(item.id);
    this.recount();
  }

  sort() {
    const value = SORT_VALUES[this.filters.sort] ?? (() => 0);
    const sorted = [...this.items.values()].sort((a, b) => value(b) - value(a) || (a.id < b.id ? 1 : -1));
    this.items = new Map(sorted.map((item) => [item.id, item]));
  }

  /**
   * Mark the alert that is open.
   * @param {string} id
   */
  choose(id) {
    this.chosen = id;
    for (const [other, row] of this.rows) this.mark(other, row);
    this.rows.get(id)?.scrollIntoView({ block: "nearest" });
  }

  /**
   * The alert beside one, by steps.
   * @param {string} id
   * @param {number} step
   */
  beside(id, step) {
    const ids = [...this.items.keys()];
    const place = ids.indexOf(id);
    return place < 0 ? undefined : ids[place + step];
  }

  /**
   * @param {string} id
   * @param {HTMLElement} row
   */
  mark(id, row) {
    const link = row.firstElementChild;
    if (id === this.chosen) link?.setAttribute("aria-current", "true");
    else link?.removeAttribute("aria-current");
  }

  /** Arrow keys go from row to row. @param {KeyboardEvent} event */
  move(event) {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    const links = [...this.list.querySelectorAll("a")];
    const place = links.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
    links[Math.min(links.length - 1, Math.max(0, place + step))]?.focus();
    event.preventDefault();
  }

  /** @param {string} [changed] id of the alert to point out */
  draw(changed) {
    const focused = document.activeElement?.closest("li")?.dataset["id"];
    const rows = [...this.items.values()].map((item) => {
      let row = this.rows.get(item.id);
      if (!row) {
        row = this.row(item);
        this.rows.set(item.id, row);
        if (item.id === changed) row.classList.add("changed");
      }
      return row;
    });
    this.list.replaceChildren(...rows);
    if (focused) /** @type {HTMLElement | undefined} */ (this.rows.get(focused)?.firstElementChild)?.focus({ preventScroll: true });
    this.head.hidden = !rows.length;
    if (!rows.length) fill(this.foot, this.empty());
    else if (this.next) fill(this.foot, h("button", { type: "button", onclick: () => this.more() }, t("page.more")));
    else fill(this.foot);
  }

  /** @param {AlertItem} item */
  row(item) {
    const { triage } = item;
    const row = h(
      "li",
      { "data-id": item.id },
      h(
        "a",
        { class: `row sev-${item.severity} ${triage.state === "closed" ? "done" : ""}`, href: `#${encodeURIComponent(item.id)}` },
        h("span", { class: "c-severity" }, h("span", { class: `pill sev-${item.severity}` }, t(`severity.${item.severity}`))),
        h("span", { class: "c-alert" }, h("strong", {}, item.title), h("span", { class: "summary" }, item.site ? `${item.site} · ${item.summary}` : item.summary)),
        h("span", { class: "c-count", title: t("list.count") }, `${number(item.count)} ×`),
        h("span", { class: "c-last" }, time(item.last_seen), h("span", { class: "since" }, `${t("list.since")} `, time(item.first_seen))),
        h("span", { class: "c-state" }, h("span", { class: `state ${triage.state}` }, t(`state.${triage.state}`)), triage.by ? h("span", { class: "by" }, triage.by) : null),
      ),
    );
    this.mark(item.id, row);
    return row;
  }

  empty() {
    if (this.total()) {
      return h(
        "div",
        { class: "empty" },
        h("h2", {}, t("empty.filtered.title")),
        h("p", {}, t("empty.filtered.text")),
        h("button", { type: "button", onclick: () => this.clear() }, t("filter.clear")),
      );
    }
    if (this.stored) return h("div", { class: "empty" }, h("h2", {}, t("empty.none.title")), h("p", {}, t("empty.none.text")));
    return h(
      "div",
      { class: "empty" },
      h("h2", {}, t("empty.nothing.title")),
      h("p", {}, t("empty.nothing.text")),
      h("pre", {}, "icsight run --capture plant.pcap --data DIR\ntcpdump -i eth1 -U -w - | icsight run --capture - --data DIR"),
    );
  }

  clear() {
    this.filters = { ...this.filters, state: "all", severity: new Set(), ip: "" };
    this.load();
  }

  drawBar() {
    const focus = document.activeElement instanceof HTMLElement && this.bar.contains(document.activeElement) ? document.activeElement.dataset["key"] : "";
    const count = (/** @type {(entry: {severity: string, state: string}) => boolean} */ wanted) =>
      this.counts.filter(wanted).reduce((total, entry) => total + entry.count, 0);
    const { filters } = this;
    const inState = (/** @type {string} */ state) =>
      filters.state === "all" || (filters.state === "open" ? state !== "closed" : state === filters.state);
    const severities = SEVERITIES.map((severity) =>
      h(
        "button",
        {
          type: "button",
          class: `chip sev-${severity}`,
          "aria-pressed": filters.severity.has(severity),
          "data-key": severity,
          onclick: () => {
            if (!filters.severity.delete(severity)) filters.severity.add(severity);
            this.load();
          },
        },
        h("span", { class: "dot" }),
        t(`severity.${severity}`),
        h("span", { class: "chip-count" }, number(count((entry) => entry.severity === severity && inState(entry.state)))),
      ),
    );
    const option = (/** @type {string} */ value, /** @type {string} */ label, /** @type {boolean} */ selected) => h("option", { value, selected }, label);
    const select = (/** @type {string} */ key, /** @type {string} */ label, /** @type {HTMLOptionElement[]} */ options, /** @type {(value: string) => void} */ set) =>
      h(
        "label",
        { class: "choice" },
        h("span", {}, label),
        h(
          "select",
          {
            "data-key": key,
            onchange: (/** @type {Event} */ event) => {
              set(/** @type {HTMLSelectElement} */ (event.currentTarget).value);
              this.load();
            },
          },
          options,
        ),
      );
    const states = ["open", ...STATES, "all"].map((state) =>
      option(
        state,
        `${t(state === "open" || state === "all" ? `filter.${state}` : `state.${state}`)} (${number(
          count((entry) => state === "all" || (state === "open" ? entry.state !== "closed" : entry.state === state)),
        )})`,
        filters.state === state,
      ),
    );
    const address = h("input", {
      type: "search",
      "data-key": "ip",
      value: filters.ip,
      placeholder: t("filter.address"),
      "aria-label": t("filter.address.hint"),
      maxlength: 45,
      onchange: (/** @type {Event} */ event) => {
        filters.ip = /** @type {HTMLInputElement} */ (event.currentTarget).value.trim();
        this.load();
      },
    });
    // A filter that is being typed is not drawn anew under the hands.
    if (focus === "ip") return;
    fill(
      this.bar,
      h("div", { class: "chips" }, severities),
      h(
        "div",
        { class: "choices" },
        select("state", t("filter.state"), states, (value) => (filters.state = value)),
        select(
          "sort",
          t("filter.sort"),
          SORTS.map((sort) => option(sort, t(`filter.sort.${sort.slice(1)}`), filters.sort === sort)),
          (value) => (filters.sort = /** @type {Filters["sort"]} */ (value)),
        ),
        address,
      ),
    );
    if (focus) /** @type {HTMLElement | null} */ (this.bar.querySelector(`[data-key="${focus}"]`))?.focus();
  }
}
