// The pages of handover notes: what is open at the end of a shift, written, handed over, taken over.

import { Again } from "./again.js";
import { Problem, call, get, may } from "./api.js";
import { ask } from "./dialog.js";
import { fill, h, icon } from "./dom.js";
import { at, line, lines, moment, written } from "./forms.js";
import { INCIDENTS } from "./incidents.js";
import { drill, left, part, redrawn, roman, table } from "./tables.js";
import { number, t, time } from "./texts.js";
import { unheardOf } from "./unheard.js";

/** Place of the list, behind the address's #; that of one note has its number behind it. */
export const HANDOVERS = "/handovers";

/** Notes on a page. */
const PAGE = "50";

/**
 * @typedef {{id: number, version: number, site: string | null, state: string, since: string, at: string, changed_by: string, handed_by: string | null,
 *   handed_at: string | null, taken_by: string | null, taken_at: string | null, taken_note: string | null}} NoteItem
 * @typedef {{standing: string, furthest: string | null, counts: {severity: string, new: number, triaging: number, escalated: number}[],
 *   stories: {id: string, sentence: string, severity: string, alerts: number}[],
 *   alerts: {id: string, site: string, severity: string, state: string, title: string, summary: string, last_seen: string, by: string | null}[],
 *   incidents: {number: number, site: string, title: string, state: string | null, grade: number | null, drill: boolean, lead: string | null, on_hold: boolean,
 *     clocks: {rule: string, due_at: string | null, seconds_left: number | null}[]}[],
 *   tasks: {id: number, incident: number, title: string, state: string, mandatory: boolean, owner: string | null, due_at: string | null, overdue: boolean}[],
 *   ends: {kind: string, name: string, site: string, at: string, reason: string, by: string}[],
 *   windows?: {number: number, site: string, starts_at: string, ends_at: string, permit: string, work: string, performed_by: string, hides: number}[],
 *   actions?: {id: number, incident: number, drill: boolean, title: string, state: string, window_from: string, window_until: string, seconds_left: number}[],
 *   snoozed?: {id: string, site: string, severity: string, title: string, until: string, by: string, note: string}[],
 *   blindness: {readable: boolean, unheard?: import("./unheard.js").Unheard[], silent: string[] | null, gaps: number | null, sensors: {sensor: string, at: string | null, dropped: number}[], unseen: {reason: string, share: number}[]},
 *   load: {day: number, worst_ten_minutes: number, verdict: string}, changes: Record<string, number>, limited: boolean}} Content
 * @typedef {NoteItem & {remarks: string, content: Content}} Note
 */

export class HandoverPage {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.session = session;
    this.id = 0;
    this.round = 0;
    // Nor under the hands of who has loaded more of the list.
    this.again = new Again(() => this.open(this.id), () => this.more || document.querySelector("dialog") !== null);
    /** Whether more of the list was loaded than its first page. */
    this.more = false;
    this.problem = h("p", { class: "problem", role: "alert" });
    this.bar = h("div", { class: "bar" });
    this.body = h("div", { class: "situation-body" });
    this.element = h("section", { class: "situation incidents", tabindex: -1, hidden: true, "aria-label": t("handover.label") }, this.bar, this.problem, this.body);
  }

  /**
   * Show the list, or a note, as things are now.
   * @param {number} id of the note; 0 for the list
   */
  async open(id) {
    const round = ++this.round;
    this.again.begun();
    const fresh = this.id !== id || this.element.hidden;
    this.id = id;
    this.more = false;
    this.element.hidden = false;
    if (fresh) {
      fill(this.problem);
      fill(this.body, h("p", { class: "loading" }, t("page.loading")));
      fill(this.bar, h("a", { class: "button quiet", href: id ? `#${HANDOVERS}` : "#/situation" }, icon("previous"), t(id ? "handover.label" : "page.situation")));
    }
    try {
      if (id) {
        const { data, etag } = await call("GET", `/api/handovers/${id}`);
        if (round === this.round) redrawn(this.body, () => this.draw(data, etag));
      } else {
        const { items, next } = await get("/api/handovers", { limit: PAGE });
        if (round === this.round) redrawn(this.body, () => this.drawList(items, next));
      }
      if (round === this.round && fresh) this.element.focus({ preventScroll: true });
    } catch (error) {
      if (round === this.round) fill(this.body, h("p", { class: "problem", role: "alert" }, error instanceof Problem ? error.message : t("page.failed")));
    }
    if (round !== this.round) return;
    this.again.answered();
    this.again.later();
  }

  /** Some note has changed: look again, soon. */
  changed() {
    if (!this.element.hidden) this.again.soon();
  }

  close() {
    this.round += 1;
    this.again.stop();
    this.element.hidden = true;
    fill(this.body);
  }

  /**
   * Do what a person asked for, and show what came of it.
   * @param {Promise<{data: Note} | null>} asked
   */
  async act(asked) {
    fill(this.problem);
    try {
      const done = await asked;
      if (done && done.data.id !== this.id) location.hash = `#${HANDOVERS}/${done.data.id}`;
      else await this.open(this.id);
    } catch (error) {
      fill(this.problem, error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {NoteItem[]} items @param {string | null} next */
  drawList(items, next) {
    const rows = (/** @type {NoteItem[]} */ found) =>
      found.map((each) => [
        h("a", { href: `#${HANDOVERS}/${each.id}` }, t("handover.note", { number: each.id })),
        each.site ?? t("situation.all_sites"),
        t(`handover.state.${each.state}`),
        time(each.since),
        time(each.at),
        each.handed_by ?? each.changed_by,
        each.taken_by ?? "–",
      ]);
    const shown = [...items];
    const heads = ["handover.which", "field.site", "field.state", "handover.since", "handover.at", "handover.by", "handover.to"];
    const draw = (/** @type {string | null} */ cursor) =>
      fill(
        place,
        table(heads, rows(shown)) ?? h("p", { class: "hint" }, t("handover.none")),
        cursor &&
          h(
            "button",
            {
              type: "button",
              onclick: async () => {
                const page = await get("/api/handovers", { limit: PAGE, cursor });
                this.more = true;
                shown.push(...page.items);
                draw(page.next);
              },
            },
            t("page.more"),
          ),
      );
    const place = h("div", {});
    draw(next);
    fill(
      this.body,
      h("h2", {}, t("handover.label")),
      may(this.session, "handover.write") && h("div", { class: "actions" }, h("button", { type: "button", class: "primary", onclick: () => this.act(begin()) }, t("handover.begin"))),
      place,
    );
  }

  /** @param {Note} note @param {string | null} etag */
  draw(note, etag) {
    const writes = may(this.session, "handover.write");
    const button = (/** @type {string} */ key, /** @type {() => Promise<{data: Note} | null>} */ action, /** @type {string} */ kind = "") =>
      h("button", { type: "button", class: kind, onclick: () => this.act(action()) }, t(key));
    fill(
      this.body,
      h("h2", {}, `${t("handover.note", { number: note.id })} · ${note.site ?? t("situation.all_sites")}`),
      h(
        "p",
        { class: "badges" },
        h("strong", { role: "status" }, t(`handover.state.${note.state}`)),
        h("span", {}, `${t("handover.since")} `, time(note.since)),
        h("span", {}, `${t("handover.at")} `, time(note.at)),
      ),
      note.handed_by && note.handed_at && h("p", {}, `${t("handover.handed", { name: note.handed_by })} `, time(note.handed_at)),
      note.taken_by && note.taken_at && h("p", {}, `${t("handover.taken", { name: note.taken_by, note: note.taken_note ?? "" })} `, time(note.taken_at)),
      writes &&
        note.state !== "taken_over" &&
        h(
          "div",
          { class: "actions" },
          note.state === "draft" && [button("handover.hand", () => hand(note, etag), "primary"), button("handover.write", () => write(note, etag))],
          note.state === "handed_over" && note.handed_by !== this.session.name && button("handover.take", () => take(note, etag), "primary"),
        ),
      part("handover.remarks", note.remarks && h("p", { class: "note" }, note.remarks)),
      contentOf(note.content),
    );
  }
}

/** Begin a note. */
function begin() {
  return ask({
    title: t("handover.begin"),
    hint: t("handover.begin.hint"),
    fields: [
      line("site", "field.site", { maxlength: 255 }, "handover.site.hint"),
      at("since", "handover.since", { hint: "handover.since.hint" }),
      lines("remarks", "handover.remarks", { rows: 6, maxlength: 20_000 }),
    ],
    confirm: t("handover.begin"),
    send: (values) => call("POST", "/api/handovers", { body: { site: written(values.get("site")), since: moment(values.get("since")), remarks: String(values.get("remarks")) } }),
  });
}

/** Say something else in a note. @param {Note} note @param {string | null} etag */
function write(note, etag) {
  return ask({
    title: t("handover.write"),
    hint: t("handover.write.hint"),
    wide: true,
    fields: [lines("remarks", "handover.remarks", { value: note.remarks, rows: 10, maxlength: 20_000 })],
    confirm: t("handover.keep"),
    send: (values) => call("PUT", `/api/handovers/${note.id}`, { body: { since: note.since, remarks: String(values.get("remarks")) }, etag }),
  });
}

/** Hand a note over. @param {Note} note @param {string | null} etag */
function hand(note, etag) {
  return ask({
    title: t("handover.hand"),
    hint: t("handover.hand.hint"),
    fields: [],
    confirm: t("handover.hand"),
    send: () => call("POST", `/api/handovers/${note.id}/hand-over`, { etag }),
  });
}

/** Take a note over. @param {Note} note @param {string | null} etag */
function take(note, etag) {
  return ask({
    title: t("handover.take"),
    hint: t("handover.handed", { name: note.handed_by ?? "" }),
    fields: [lines("note", "action.close.note", { required: true })],
    confirm: t("handover.take"),
    send: (values) => call("POST", `/api/handovers/${note.id}/take-over`, { body: { note: String(values.get("note")) }, etag }),
  });
}

/** @param {string} severity */
const pill = (severity) => h("span", { class: `pill sev-${severity}` }, t(`severity.${severity}`));

/** What a note tells of what is open. @param {Content} content */
function contentOf({ standing, furthest, counts, stories, alerts, incidents, tasks, ends, windows = [], actions = [], snoozed = [], blindness, load, changes, limited }) {
  const open = counts.filter((each) => each.new + each.triaging + each.escalated);
  const some = Object.entries(changes).filter(([name, count]) => count && t(`changes.${name}`) !== `changes.${name}`);
  const blind = [
    ...(blindness.readable ? [] : [t("situation.unreadable")]),
    ...unheardOf(blindness),
    ...blindness.unseen.map((each) => `${t(`handover.unseen.${each.reason}`)}: ${number(Math.round(each.share * 1000) / 10)} %`),
    ...blindness.sensors.filter((each) => each.dropped).map((each) => `${each.sensor}: ${t("handover.dropped", { count: number(each.dropped) })}`),
    ...(blindness.gaps ? [t("situation.gaps", { count: number(blindness.gaps) })] : []),
  ];
  const listed = (/** @type {string[]} */ said) => said.length > 0 && h("ul", { class: "bullets" }, said.map((each) => h("li", {}, each)));
  return h(
    "div",
    { class: "situation-body" },
    h("p", { class: `standing standing-${standing}` }, h("strong", {}, t(`standing.${standing}`)), furthest && ` · ${furthest}`, ` · ${t(`load.${load.verdict}`)}`),
    limited && h("p", { class: "hint" }, t("situation.limited")),
    part("situation.open", table(["field.severity", "state.new", "state.triaging", "state.escalated"], open.map((each) => [pill(each.severity), number(each.new), number(each.triaging), number(each.escalated)]))),
    part(
      "situation.incidents",
      table(
        ["field.incident", "field.title", "field.state", "field.grade", "field.lead", "field.due"],
        incidents.map((each) => {
          const next = each.clocks.find((clock) => clock.due_at !== null);
          const state = each.state ? t(`incident.state.${each.state}`) : "–";
          return [
            `#${each.number}`,
            [h("a", { href: `#${INCIDENTS}/${each.number}` }, each.title), " ", drill(each.drill)],
            each.on_hold ? `${state} · ${t("incident.held")}` : state,
            roman(each.grade),
            each.lead ?? "–",
            next ? left(next.seconds_left ?? 0) : "–",
          ];
        }),
      ),
    ),
    part("situation.stories", stories.length > 0 && h("ol", { class: "lines" }, stories.map((each) => h("li", {}, pill(each.severity), " ", h("a", { href: `#${encodeURIComponent(each.id)}` }, each.sentence))))),
    part(
      "situation.alerts",
      table(
        ["field.severity", "field.title", "field.summary", "field.state", "field.last_seen"],
        alerts.map((each) => [pill(each.severity), h("a", { href: `#${encodeURIComponent(each.id)}` }, each.title), each.summary, [t(`state.${each.state}`), each.by && ` · ${each.by}`], time(each.last_seen)]),
      ),
    ),
    part(
      "handover.tasks",
      table(
        ["field.incident", "field.title", "task.owner", "task.due"],
        tasks.map((each) => [
          h("a", { href: `#${INCIDENTS}/${each.incident}` }, `#${each.incident}`),
          each.title,
          each.owner ?? "–",
          each.due_at ? (each.overdue ? h("strong", { class: "verdict-over" }, time(each.due_at)) : time(each.due_at)) : "–",
        ]),
      ),
    ),
    part(
      "handover.ends",
      table(
        ["handover.what", "field.title", "field.site", "handover.until", "action.reason"],
        ends.map((each) => [t(`handover.end.${each.kind}`), each.kind === "hold" ? h("a", { href: `#${INCIDENTS}/${each.name}` }, `#${each.name}`) : each.name, each.site || "–", time(each.at), `${each.reason} (${each.by})`]),
      ),
    ),
    part(
      "handover.windows",
      table(
        ["handover.which_window", "field.site", "field.when", "handover.until", "handover.work", "handover.hides"],
        windows.map((each) => [`#${each.number}`, each.site || "–", time(each.starts_at), time(each.ends_at), `${each.work} (${each.performed_by}, ${each.permit})`, number(each.hides)]),
      ),
    ),
    part(
      "handover.actions",
      table(
        ["field.incident", "field.title", "field.state", "deed.window_from", "deed.window_until"],
        actions.map((each) => [
          h("a", { href: `#${INCIDENTS}/${each.incident}` }, `#${each.incident}`),
          [each.title, " ", drill(each.drill)],
          t(`deed.state.${each.state}`),
          time(each.window_from),
          each.seconds_left < 0 ? h("strong", { class: "verdict-over" }, time(each.window_until)) : time(each.window_until),
        ]),
      ),
    ),
    part(
      "handover.snoozed",
      table(
        ["field.severity", "field.title", "field.site", "handover.until", "action.reason"],
        snoozed.map((each) => [pill(each.severity), h("a", { href: `#${encodeURIComponent(each.id)}` }, each.title), each.site || "–", time(each.until), `${each.note} (${each.by})`]),
      ),
    ),
    part("situation.blindness", listed(blind)),
    part("situation.changes", listed(some.map(([name, count]) => t(`changes.${name}`, { count: number(count) })))),
  );
}
