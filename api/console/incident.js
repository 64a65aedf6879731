// The page of one incident: where it stands, its clocks and reports, tasks, actions, evidence, and what happened.

import { Again } from "./again.js";
import { Problem, get, may } from "./api.js";
import { actionsOf, undoneActions } from "./actions.js";
import { evidenceOf } from "./custody.js";
import { ask } from "./dialog.js";
import { fill, h, icon } from "./dom.js";
import { reason } from "./forms.js";
import { gradingOf } from "./grading.js";
import { INCIDENTS, stateOf } from "./incidents.js";
import { PHASES, moves, post } from "./moves.js";
import { reportsOf, undoneReports } from "./obligations.js";
import { reviewOf } from "./reviews.js";
import { drill, part, redrawn, roman } from "./tables.js";
import { tasksOf, undoneTasks } from "./tasks.js";
import { number as counted, t, time } from "./texts.js";
import { LINES, latest, timelineOf } from "./timeline.js";

/** Alerts of an incident that are shown by name. */
const ALERTS = 20;

/**
 * @typedef {import("./incidents.js").IncidentItem & {summary: string, declared_by: string, reported_by: string | null, occurred_at: string | null, acknowledged_at: string | null,
 *   resolved_at: string | null, disposition: string | null, story: string | null, continues: number | null, split_from: number | null, merged_into: number | null, merged: number[],
 *   alerts: string[], alert_count: number, facts: Record<string, boolean | number | string>, moves: string[], closable: boolean}} Incident
 * @typedef {{session: import("./api.js").Session, changed: (asked: Promise<unknown>) => void}} Surroundings
 */

export class IncidentPage {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.session = session;
    this.number = 0;
    this.round = 0;
    this.again = new Again(() => this.open(this.number));
    /** Lines of the timeline that are shown, so that what was loaded stays. */
    this.lines = LINES;
    /** The alerts that are shown by name, as far as they are known. @type {Map<string, import("./api.js").AlertItem>} */
    this.alerts = new Map();
    this.notice = h("p", { class: "problem", role: "alert" });
    this.body = h("div", { class: "situation-body" });
    this.element = h(
      "section",
      { class: "situation incident", tabindex: -1, hidden: true, "aria-label": t("field.incident") },
      h("div", { class: "bar" }, h("a", { class: "button quiet", href: `#${INCIDENTS}` }, icon("previous"), t("page.incidents"))),
      this.notice,
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
    if (fresh) {
      this.alerts.clear();
      this.lines = LINES;
      fill(this.notice);
      fill(this.body, h("p", { class: "loading" }, t("page.loading")));
    }
    try {
      const shown = await this.load(number);
      if (round !== this.round) return;
      redrawn(this.body, () => this.draw(shown));
      if (fresh) this.element.focus({ preventScroll: true });
    } catch (error) {
      if (round !== this.round) return;
      fill(this.body, h("p", { class: "problem", role: "alert" }, error instanceof Problem ? error.message : t("page.failed")));
    }
    this.again.answered();
    this.again.later();
  }

  close() {
    this.round += 1;
    this.number = 0;
    this.again.stop();
    this.element.hidden = true;
    fill(this.body);
  }

  /**
   * Some incidents have changed: look again, soon, where this is one of them.
   * @param {number[] | null} numbers null: any may have
   */
  changed(numbers) {
    if (!this.number || (numbers && !numbers.some((each) => each === this.number || this.merged?.includes(each)))) return;
    this.again.soon();
  }

  /** All that is shown of an incident, as far as the account may see it. @param {number} number */
  async load(number) {
    const path = `/api/incidents/${number}`;
    const allowed = (/** @type {string} */ permission, /** @type {string} */ where) => (may(this.session, permission) ? get(where) : null);
    const [incident, grading, vocabulary, grades, reports, tasks, playbooks, actions, entries, evidence] = await Promise.all([
      get(path),
      get(`${path}/grading`),
      get("/api/incidents/vocabulary"),
      get(`${path}/grades`),
      allowed("report.read", `${path}/obligations`),
      get(`${path}/tasks`),
      get(`${path}/playbooks`),
      get(`${path}/actions`),
      latest(number, this.lines),
      allowed("evidence.read", `${path}/evidence`),
    ]);
    this.merged = incident.merged;
    const review = incident.state === "closed" && incident.merged_into === null ? await get(`${path}/review`) : null;
    await this.name(incident);
    return { incident, grading, vocabulary, grades, reports, tasks, playbooks, actions, entries, evidence, review };
  }

  /** Show earlier lines of the timeline, too. */
  earlier() {
    this.lines += LINES;
    return this.open(this.number);
  }

  /** Load the alerts that are shown by name. @param {Incident} incident */
  async name(incident) {
    if (!may(this.session, "alert.read")) return;
    const unknown = incident.alerts.slice(0, ALERTS).filter((id) => !this.alerts.has(id));
    const found = await Promise.all(unknown.map((id) => get(`/api/alerts/${encodeURIComponent(id)}`).catch(() => null)));
    for (const each of found) if (each) this.alerts.set(each.id, each);
  }

  /**
   * Do what a person asked for, and show what came of it.
   * @param {Promise<unknown>} asked
   */
  async act(asked) {
    fill(this.notice);
    try {
      // Who turned back may have seen that somebody else was first.
      await asked;
    } catch (error) {
      fill(this.notice, error instanceof Error ? error.message : String(error));
    }
    await this.open(this.number);
  }

  /** @param {Awaited<ReturnType<IncidentPage["load"]>>} shown */
  draw({ incident, grading, vocabulary, grades, reports, tasks, playbooks, actions, entries, evidence, review }) {
    /** @type {Surroundings} */
    const surroundings = { session: this.session, changed: (asked) => this.act(asked) };
    fill(
      this.body,
      this.head(incident, surroundings, [...undoneTasks(tasks), ...undoneReports(reports ?? []), ...undoneActions(actions)]),
      reports && part("incident.reports", reportsOf(incident, reports, surroundings)),
      part("incident.grading", gradingOf(incident, { grading, vocabulary, grades }, surroundings)),
      part("incident.tasks", tasksOf(incident, tasks, playbooks, surroundings)),
      part("incident.actions", actionsOf(incident, actions, surroundings)),
      part("incident.alerts", this.alertsOf(incident, surroundings)),
      evidence && part("incident.evidence", evidenceOf(incident, evidence.items, surroundings)),
      review && part("incident.review", reviewOf(incident, review, surroundings)),
      part("incident.timeline", timelineOf(incident, entries, surroundings, () => this.earlier())),
    );
  }

  /**
   * @param {Incident} incident
   * @param {Surroundings} surroundings
   * @param {string[]} undone what stands against closing it
   */
  head(incident, surroundings, undone) {
    const fact = (/** @type {string} */ key, /** @type {Node | string | null} */ value) => value !== null && h("div", {}, h("dt", {}, t(key)), h("dd", {}, value));
    const other = (/** @type {string} */ key, /** @type {number | null} */ number) => number !== null && fact(key, h("a", { href: `#${INCIDENTS}/${number}` }, `#${number}`));
    const here = PHASES.indexOf(incident.state);
    return h(
      "header",
      { class: "incident-head" },
      h(
        "p",
        { class: "badges" },
        h("span", { class: "quiet-text" }, `#${incident.number}`),
        h("strong", { role: "status" }, stateOf(incident)),
        h("span", {}, incident.grade === null ? t("incident.ungraded") : `${t("field.grade")} ${roman(incident.grade)}`),
        drill(incident.drill),
        incident.disposition && h("span", { class: "by" }, t(`disposition.${incident.disposition}`)),
      ),
      h("h2", {}, incident.title),
      incident.summary && h("p", { class: "lead" }, incident.summary),
      incident.hold && h("p", { class: "hint" }, t("incident.held.by", { name: incident.hold.by, reason: incident.hold.reason }), " ", time(incident.hold.until)),
      h(
        "ol",
        { class: "track" },
        PHASES.map((each, place) => h("li", { class: place < here ? "past" : "", "aria-current": each === incident.state ? "step" : null }, t(`incident.state.${each}`))),
      ),
      moves(incident, surroundings, undone),
      h(
        "dl",
        { class: "facts" },
        fact("field.lead", incident.lead ?? "–"),
        fact("field.category", incident.category_name ?? "–"),
        fact("field.site", incident.site || null),
        fact("field.discovered", time(incident.discovered_at)),
        fact("incident.occurred", incident.occurred_at && time(incident.occurred_at)),
        fact("incident.declared", h("span", {}, time(incident.declared_at), ` ${incident.declared_by}`)),
        fact("incident.reported_by", incident.reported_by),
        fact("incident.closed", incident.closed_at && time(incident.closed_at)),
        other("incident.continues", incident.continues),
        other("incident.split_from", incident.split_from),
        other("incident.merged_into", incident.merged_into),
      ),
    );
  }

  /**
   * @param {Incident} incident
   * @param {Surroundings} surroundings
   */
  alertsOf(incident, { session, changed }) {
    if (!incident.alert_count) return null;
    const open = incident.state !== "closed" && may(session, "incident.work");
    const remove = (/** @type {string} */ id, /** @type {string} */ title) =>
      ask({
        title: t("incident.alerts.remove"),
        hint: title,
        fields: [reason("note")],
        confirm: t("incident.alerts.remove"),
        send: (values) => post(incident, "alerts/remove", { alerts: [id], note: String(values.get("note")) }),
      });
    const item = (/** @type {string} */ id, /** @type {number} */ place) => {
      const alert = this.alerts.get(id);
      const title = alert?.title ?? t("detail.alert", { place: counted(place + 1) });
      return h(
        "li",
        { "data-key": id },
        alert && h("span", { class: `pill sev-${alert.severity}` }, t(`severity.${alert.severity}`)),
        " ",
        may(session, "alert.read") ? h("a", { href: `#${encodeURIComponent(id)}` }, title) : title,
        " ",
        alert && h("span", { class: "quiet-text" }, alert.summary),
        open && h("button", { type: "button", class: "quiet small", onclick: () => changed(remove(id, title)) }, t("incident.alerts.remove")),
      );
    };
    return [
      h("ul", { class: "lines" }, incident.alerts.slice(0, ALERTS).map(item)),
      incident.alert_count > ALERTS && h("p", { class: "hint" }, t("incident.alerts.more", { count: counted(incident.alert_count - ALERTS) })),
    ];
  }
}
