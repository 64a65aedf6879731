// The list of alerts: filters, pages, and rows that change as they happen.

import { get, may } from "./api.js";
import { fill, h } from "./dom.js";
import { Filters, matches } from "./filters.js";
import { JobPanel } from "./jobs.js";
import { Several } from "./several.js";
import { drill } from "./tables.js";
import { number, t, time } from "./texts.js";
import { Views } from "./views.js";

/** @typedef {import("./api.js").AlertItem} AlertItem */

/** Alerts on a page. */
const PAGE = "50";

/** What alerts are sorted by. @type {Record<string, (item: AlertItem) => number>} */
const SORT_VALUES = {
  rank: (item) => item.rank,
  first_seen: (item) => Date.parse(item.first_seen),
  last_seen: (item) => Date.parse(item.last_seen),
  count: (item) => item.count,
  updated_at: (item) => Date.parse(item.updated_at),
};

export class AlertList {
  /**
   * @param {import("./api.js").Session} session
   * @param {(id: string) => void} open called when an alert is chosen
   */
  constructor(session, open) {
    this.open = open;
    /** @type {Map<string, AlertItem>} */
    this.items = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.rows = new Map();
    /** @type {string | null} */
    this.next = null;
    this.chosen = "";
    this.stored = true;
    this.round = 0;
    this.views = new Views(session, {
      shown: () => ({ filter: this.filters.filter(), sort: this.filters.sort }),
      show: (view) => this.show(view).catch((error) => this.failed(error)),
    });
    this.filters = new Filters(session, { changed: () => this.again(), items: () => [...this.items.values()] }, this.views.element);
    this.jobs = new JobPanel(session);
    this.several = new Several({
      ids: () => [...this.items.keys()],
      filter: () => this.filters.filter(),
      more: () => this.next !== null,
      follow: (job) => this.jobs.follow(job),
      chosen: () => this.anew(),
    });
    /** Whether several alerts can be chosen, to decide about them at once. */
    this.picks = may(session, "alert.decide");
    this.head = h(
      "div",
      { class: "row head", "aria-hidden": "true" },
      ["severity", "alert", "count", "last", "state"].map((name) => h("span", { class: `c-${name}` }, t(`list.${name}`))),
    );
    this.list = h("ol", { class: "alerts", id: "alerts", tabindex: -1, "aria-label": t("page.alerts") });
    this.foot = h("div", { class: "foot" });
    this.element = h("section", { class: `list ${this.picks ? "picks" : ""}`, "aria-label": t("page.alerts") }, this.filters.element, this.jobs.element, this.several.element, this.head, this.list, this.foot);
    this.list.addEventListener("keydown", (event) => this.move(event));
  }

  /** Begin with the view that the account begins with, or with what is open. */
  async begin() {
    this.jobs.begin();
    const view = await this.views.begin();
    // A view that cannot be had leaves the filters to ask for something else.
    await (view ? this.show(view).catch((error) => this.failed(error)) : this.load());
  }

  /** Show what a saved view asks for. @param {import("./views.js").View} view */
  show(view) {
    this.filters.asked = Object.fromEntries(Object.entries(view.filter).map(([name, value]) => [name, String(value)]));
    this.filters.sort = view.sort;
    this.several.narrow();
    return this.load();
  }

  /** Load the list as it is asked for now, and say why where it cannot be had. */
  again() {
    this.several.narrow();
    this.load().catch((error) => this.failed(error));
  }

  /** @param {unknown} error */
  failed(error) {
    fill(this.foot, h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : t("page.failed")));
  }

  /** Load the first page anew. */
  async load() {
    const round = ++this.round;
    // It says what is asked for, also where the list cannot be had.
    this.filters.draw();
    const [page] = await Promise.all([get("/api/alerts", this.query()), this.count().then(() => this.filters.recount())]);
    if (round !== this.round) return;
    this.items = new Map(page.items.map((/** @type {AlertItem} */ item) => [item.id, item]));
    this.filters.recount();
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
    return { limit: PAGE, sort: this.filters.sort, ...this.filters.filter() };
  }

  /** Count again. */
  async count() {
    this.filters.counts = await get("/api/alerts/counts");
  }

  /** Count again in a second, and then once for all that came meanwhile. */
  recount() {
    if (this.counting) return;
    this.counting = setTimeout(() => {
      this.counting = 0;
      this.count().then(() => this.filters.recount(), () => {});
    }, 1000);
  }

  /** Alerts of all severities and states. */
  total() {
    return this.filters.count(() => true);
  }

  /** Draw all rows anew. */
  anew() {
    this.rows.clear();
    this.draw();
  }

  /** The value to sort by, the greatest first. @param {AlertItem} item */
  value(item) {
    const value = SORT_VALUES[this.filters.sort.replace("-", "")]?.(item) ?? 0;
    return this.filters.sort.startsWith("-") ? value : -value;
  }

  /**
   * An alert is new or has changed.
   * @param {AlertItem} item
   */
  take(item) {
    const known = this.items.has(item.id);
    const last = [...this.items.values()].at(-1);
    if (!matches(this.filters.filter(), item, known)) {
      this.items.delete(item.id);
    } else if (known || !this.next || !last || this.value(item) >= this.value(last)) {
      this.items.set(item.id, item);
    }
    this.rows.delete(item.id);
    this.sort();
    this.draw(item.id);
    this.recount();
  }

  sort() {
    const tie = this.filters.sort.startsWith("-") ? 1 : -1;
    const sorted = [...this.items.values()].sort((a, b) => this.value(b) - this.value(a) || (a.id < b.id ? tie : -tie));
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

  /** Arrow keys go from row to row, x chooses one. @param {KeyboardEvent} event */
  move(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "x") document.activeElement?.closest("li")?.querySelector("input")?.click();
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!step) return;
    const links = [...this.list.querySelectorAll("a")];
    const here = document.activeElement?.closest("li")?.querySelector("a");
    const place = here ? links.indexOf(here) : -1;
    links[Math.min(links.length - 1, Math.max(0, place + step))]?.focus();
    event.preventDefault();
  }

  /** @param {string} [changed] id of the alert to point out */
  draw(changed) {
    const focused = document.activeElement?.closest("li")?.dataset["id"];
    const part = document.activeElement?.tagName === "INPUT" ? "input" : "a";
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
    if (focused) this.rows.get(focused)?.querySelector(part)?.focus({ preventScroll: true });
    this.several.keep((id) => this.items.has(id));
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
        h("span", { class: "c-alert" }, h("strong", {}, item.title), h("span", { class: "summary" }, drill(item.drill !== null), " ", item.site ? `${item.site} · ${item.summary}` : item.summary)),
        h("span", { class: "c-count", title: t("list.count") }, `${number(item.count)} ×`),
        h("span", { class: "c-last" }, time(item.last_seen), h("span", { class: "since" }, `${t("list.since")} `, time(item.first_seen))),
        h("span", { class: "c-state" }, h("span", { class: `state ${triage.state}` }, t(`state.${triage.state}`)), triage.by ? h("span", { class: "by" }, triage.by) : null, aside(item)),
      ),
      this.picks && this.several.box(item),
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
    this.views.leave();
    this.filters.ask({});
  }
}

/** What keeps an alert out of the list, where it is asked for all the same. @param {AlertItem} item */
function aside({ snooze, suppressed_by: window }) {
  if (snooze) return h("span", { class: "by" }, `${t("list.snoozed")} `, time(snooze.until));
  return window === null ? null : h("span", { class: "by" }, t("list.suppressed", { number: number(window) }));
}
