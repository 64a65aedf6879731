// What an authority is told: incidents of which a report was submitted, and the reports that were, with the documents that were sent.

import { Again } from "./again.js";
import { get } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { INCIDENTS } from "./incidents.js";
import { contentsOf, submittedAt } from "./obligations.js";
import { part, redrawn, roman, table } from "./tables.js";
import { t, time } from "./texts.js";

/** Incidents on a page, and the most that the API gives at once. */
const PAGE = 50;
const MOST = 500;

/**
 * @typedef {{number: number, site: string, title: string, state: string, category_name: string | null, grade: number | null, grades: Record<string, number>, discovered_at: string, declared_at: string,
 *   closed_at: string | null, merged_into: number | null}} ToldItem
 * @typedef {{id: number, incident: number, rule: string, title: string, to: string, clause: string, state: string, submitted_at: string, late: boolean}} ToldReport
 * @typedef {ToldItem & {reports: ToldReport[]}} ToldIncident
 * @typedef {ToldReport & {contents: {key: string, name: string, needed: boolean, text: string}[], submitted_by_way_of: string | null, receipt: string | null, acknowledged_at: string | null,
 *   document: string | null}} ToldContents
 */

/** @param {unknown} error */
const failed = (error) => h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : t("page.failed"));

export class ToldList {
  constructor() {
    this.round = 0;
    /** @type {ToldItem[]} */
    this.items = [];
    /** @type {string | null} */
    this.next = null;
    this.again = new Again(() => this.open());
    this.body = h("div", { class: "situation-body" });
    this.element = h(
      "section",
      { class: "situation incidents", tabindex: -1, hidden: true, "aria-label": t("page.incidents") },
      h("h2", {}, t("page.incidents")),
      h("p", { class: "hint" }, t("told.hint")),
      this.body,
    );
  }

  /** Show the page as things are now. No clock runs on it: it is asked again where something has changed. */
  async open() {
    const round = ++this.round;
    this.again.begun();
    this.element.hidden = false;
    if (!this.body.childElementCount) fill(this.body, h("p", { class: "loading" }, t("page.loading")));
    try {
      const page = await get("/api/told/incidents", this.query());
      if (round !== this.round) return;
      this.items = page.items;
      this.next = page.next;
      this.draw();
    } catch (error) {
      if (round !== this.round) return;
      fill(this.body, failed(error));
    }
    this.again.answered();
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
    return { limit: String(Math.min(MOST, Math.max(PAGE, this.items.length))) };
  }

  /** Load the next page. */
  async more() {
    if (!this.next) return;
    const page = await get("/api/told/incidents", { ...this.query(), cursor: this.next });
    this.items = [...this.items, ...page.items];
    this.next = page.next;
    this.draw();
  }

  draw() {
    const rows = this.items.map((each) => [
      `#${each.number}`,
      h("a", { href: `#${INCIDENTS}/${each.number}` }, each.title),
      t(`incident.state.${each.state}`),
      roman(each.grade),
      time(each.discovered_at),
      each.site || "–",
    ]);
    fill(
      this.body,
      table(["field.incident", "field.title", "field.state", "field.grade", "field.discovered", "field.site"], rows) ?? h("p", { class: "hint" }, t("told.none")),
      this.next && h("button", { type: "button", onclick: () => this.more() }, t("page.more")),
    );
  }
}

export class ToldPage {
  constructor() {
    this.number = 0;
    this.round = 0;
    /** Incidents whose reports are shown. @type {number[]} */
    this.reported = [];
    this.again = new Again(() => this.open(this.number));
    this.body = h("div", { class: "situation-body" });
    this.element = h(
      "section",
      { class: "situation incident", tabindex: -1, hidden: true, "aria-label": t("field.incident") },
      h("div", { class: "bar" }, h("a", { class: "button quiet", href: `#${INCIDENTS}` }, icon("previous"), t("page.incidents"))),
      this.body,
    );
  }

  /**
   * Open an incident, or show it as it is now.
   * @param {number} number
   */
  async open(number) {
    const round = ++this.round;
    const fresh = this.number !== number;
    this.again.begun();
    this.number = number;
    this.element.hidden = false;
    if (fresh) fill(this.body, h("p", { class: "loading" }, t("page.loading")));
    try {
      const shown = await get(`/api/told/incidents/${number}`);
      if (round !== this.round) return;
      redrawn(this.body, () => this.draw(shown));
      if (fresh) this.element.focus({ preventScroll: true });
    } catch (error) {
      if (round !== this.round) return;
      fill(this.body, failed(error));
    }
    this.again.answered();
  }

  close() {
    this.round += 1;
    this.number = 0;
    this.again.stop();
    this.element.hidden = true;
    fill(this.body);
  }

  /**
   * Some incidents have changed: look again, soon, where this may be shown otherwise then.
   * @param {number[] | null} numbers null: any may have
   */
  changed(numbers) {
    if (!this.number || (numbers && !numbers.some((each) => each === this.number || this.reported.includes(each)))) return;
    this.again.soon();
  }

  /** @param {ToldIncident} incident */
  draw(incident) {
    this.reported = incident.reports.map((each) => each.incident);
    const fact = (/** @type {string} */ key, /** @type {Node | string | null} */ value) => value !== null && h("div", {}, h("dt", {}, t(key)), h("dd", {}, value));
    fill(
      this.body,
      h(
        "header",
        { class: "incident-head" },
        h(
          "p",
          { class: "badges" },
          h("span", { class: "quiet-text" }, `#${incident.number}`),
          h("strong", { role: "status" }, t(`incident.state.${incident.state}`)),
          h("span", {}, incident.grade === null ? t("incident.ungraded") : `${t("field.grade")} ${roman(incident.grade)}`),
        ),
        h("h2", {}, incident.title),
        h(
          "dl",
          { class: "facts" },
          fact("field.category", incident.category_name ?? "–"),
          fact("field.site", incident.site || null),
          fact("field.discovered", time(incident.discovered_at)),
          fact("incident.declared", time(incident.declared_at)),
          fact("incident.closed", incident.closed_at && time(incident.closed_at)),
          fact("incident.merged_into", incident.merged_into === null ? null : h("a", { href: `#${INCIDENTS}/${incident.merged_into}` }, `#${incident.merged_into}`)),
        ),
      ),
      part("incident.reports", h("ul", { class: "sheets" }, incident.reports.map((each) => h("li", { "data-key": `report-${each.id}` }, reportOf(each))))),
    );
  }
}

/** @param {ToldReport} report */
function reportOf(report) {
  const told = h("div", {});
  return h(
    "article",
    { class: "sheet", "aria-label": report.title },
    h("header", {}, h("strong", {}, report.title), " ", h("span", { class: "quiet-text" }, report.rule)),
    submittedAt(report.submitted_at, report.late),
    h("p", {}, t("told.to", { to: report.to })),
    h("p", { class: "quiet-text" }, report.clause, " · ", t(`obligation.state.${report.state}`)),
    h(
      "details",
      {
        "data-key": `says-${report.id}`,
        ontoggle: (/** @type {Event} */ event) => {
          if (/** @type {HTMLDetailsElement} */ (event.currentTarget).open) tell(report, told);
        },
      },
      h("summary", {}, t("report.says")),
      told,
    ),
  );
}

/**
 * Tell what a report says, how it came, and offer the document that was sent.
 * @param {ToldReport} report
 * @param {HTMLElement} place
 */
async function tell(report, place) {
  if (!place.childElementCount) fill(place, h("p", { class: "loading" }, t("page.loading")));
  try {
    /** @type {ToldContents} */
    const shown = await get(`/api/told/reports/${report.id}`);
    fill(
      place,
      contentsOf(shown),
      shown.submitted_by_way_of && h("p", { class: "quiet-text" }, t("report.channel"), ": ", shown.submitted_by_way_of),
      shown.receipt && h("p", { class: "quiet-text" }, t("report.receipt", { name: shown.receipt }), " ", shown.acknowledged_at && time(shown.acknowledged_at)),
      h(
        "p",
        {},
        shown.document
          ? [h("a", { href: `/api/told/reports/${report.id}/document`, target: "_blank", rel: "noreferrer" }, t("report.document")), " ", h("code", {}, shown.document)]
          : [t("report.document"), ": ", t("report.document.none")],
      ),
    );
  } catch (error) {
    fill(place, failed(error));
  }
}
