// The page of incidents: which there are, how far they are, who leads, and which legal clock ends next.

import { Again } from "./again.js";
import { get, may } from "./api.js";
import { declare } from "./declare.js";
import { fill, h, icon } from "./dom.js";
import { OPERATOR } from "./operator.js";
import { drill, left, roman, table } from "./tables.js";
import { t, time } from "./texts.js";

/** Place of the page, behind the address's #; that of one incident has its number behind it. */
export const INCIDENTS = "/incidents";

/** Reports that are looked at for the next clock of each incident: those due first. */
const CLOCKS = "500";

/** Incidents on a page, and the most that the API gives at once. */
const PAGE = 50;
const MOST = 500;

const STATES = /** @type {const} */ ({ open: "!closed", closed: "closed", all: "" });

/**
 * @typedef {{until: string, by: string, reason: string}} Hold
 * @typedef {{number: number, version: number, site: string, title: string, state: string, hold: Hold | null, drill: boolean, origin: string, lead: string | null,
 *   category: string | null, category_name: string | null, grade: number | null, grades: Record<string, number>, discovered_at: string, declared_at: string, moved_at: string, closed_at: string | null}} IncidentItem
 * @typedef {{incident: number, title: string, due_at: string | null, seconds_left: number | null}} Clock
 */

export class IncidentList {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.session = session;
    this.round = 0;
    /** @type {keyof typeof STATES} */
    this.state = "open";
    /** @type {IncidentItem[]} */
    this.items = [];
    /** @type {Map<number, Clock>} */
    this.clocks = new Map();
    /** @type {string | null} */
    this.next = null;
    this.again = new Again(() => this.open());
    const choose = (/** @type {Event} */ event) => {
      this.state = /** @type {keyof typeof STATES} */ (/** @type {HTMLSelectElement} */ (event.currentTarget).value);
      this.open();
    };
    this.body = h("div", { class: "situation-body" });
    this.element = h(
      "section",
      { class: "situation incidents", tabindex: -1, hidden: true, "aria-label": t("page.incidents") },
      h(
        "div",
        { class: "bar" },
        may(session, "alert.read") && h("a", { class: "button quiet", href: "#" }, icon("previous"), t("situation.back")),
        h("label", { for: "incidents-state" }, t("field.state")),
        h("select", { id: "incidents-state", onchange: choose }, Object.keys(STATES).map((each) => h("option", { value: each }, t(`incidents.${each}`)))),
        h("span", { class: "grow" }),
        may(session, "report.read") && h("a", { class: "button quiet", href: `#${OPERATOR}` }, t("page.operator")),
        may(session, "incident.declare") && h("button", { type: "button", class: "primary", onclick: () => declare(session) }, t("incidents.declare")),
      ),
      h("h2", {}, t("page.incidents")),
      this.body,
    );
  }

  /** Show the page as things are now. */
  async open() {
    const round = ++this.round;
    this.again.begun();
    this.element.hidden = false;
    if (!this.body.childElementCount) fill(this.body, h("p", { class: "loading" }, t("page.loading")));
    try {
      const [page, clocks] = await Promise.all([
        get("/api/incidents", this.query()),
        may(this.session, "report.read") ? get("/api/obligations", { state: "pending,drafted,approved", limit: CLOCKS }) : { items: [] },
      ]);
      if (round !== this.round) return;
      // Due first comes first: the first of each incident is its next one.
      this.clocks = new Map([...clocks.items].reverse().map((/** @type {Clock} */ each) => [each.incident, each]));
      this.items = page.items;
      this.next = page.next;
      this.draw();
    } catch (error) {
      if (round !== this.round) return;
      fill(this.body, h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : t("page.failed")));
    }
    this.again.answered();
    this.again.later();
  }

  close() {
    this.round += 1;
    this.again.stop();
    this.element.hidden = true;
    fill(this.body);
  }

  /** Some incident has changed: look again, soon. */
  changed() {
    if (!this.element.hidden) this.again.soon();
  }

  /** As many as are shown, so that what was loaded stays. @returns {Record<string, string>} */
  query() {
    return { state: STATES[this.state], limit: String(Math.min(MOST, Math.max(PAGE, this.items.length))) };
  }

  /** Load the next page. */
  async more() {
    if (!this.next) return;
    const page = await get("/api/incidents", { ...this.query(), cursor: this.next });
    this.items = [...this.items, ...page.items];
    this.next = page.next;
    this.draw();
  }

  draw() {
    const rows = this.items.map((each) => [
      `#${each.number}`,
      [h("a", { href: `#${INCIDENTS}/${each.number}` }, each.title), " ", drill(each.drill)],
      stateOf(each),
      roman(each.grade),
      clockOf(this.clocks.get(each.number)),
      each.lead ?? "–",
      time(each.discovered_at),
      each.site || "–",
    ]);
    const heads = ["field.incident", "field.title", "field.state", "field.grade", "field.due", "field.lead", "field.discovered", "field.site"];
    fill(
      this.body,
      table(heads, rows) ?? h("p", { class: "hint" }, t("incidents.none")),
      this.next && h("button", { type: "button", onclick: () => this.more() }, t("page.more")),
    );
  }
}

/** The state of an incident, and that it is on hold. @param {IncidentItem} incident */
export function stateOf(incident) {
  return h("span", {}, t(`incident.state.${incident.state}`), incident.hold && [" · ", t("incident.held")].join(""));
}

/** @param {Clock | undefined} clock */
function clockOf(clock) {
  if (!clock?.due_at) return "–";
  return [left(clock.seconds_left ?? 0), " ", h("span", { class: "quiet-text" }, time(clock.due_at), " ", clock.title)];
}
