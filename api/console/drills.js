// The page of drills: what ran, one that runs with the times of its steps beside those of the last, and its beginning and end.

import { Again } from "./again.js";
import { call, get, may } from "./api.js";
import { ask } from "./dialog.js";
import { fill, h, icon } from "./dom.js";
import { choice, line, lines, reason } from "./forms.js";
import { INCIDENTS } from "./incidents.js";
import { drill as mark, part, redrawn, table } from "./tables.js";
import { number as counted, t, time } from "./texts.js";

/** Place of the page, behind the address's #; that of one drill has its number behind it. */
export const DRILLS = "/drills";

/** Drills that are listed, the latest. */
const LISTED = "50";

/**
 * @typedef {{ip: string, mac: string}} Host
 * @typedef {{step: string, at: string | null, seconds: number | null, last_seconds: number | null, difference: number | null}} Step
 * @typedef {{number: number, version: number, site: string, scenario: string, scenario_name: string, title: string, state: string, started_by: string, started_at: string,
 *   ended_by: string | null, ended_at: string | null}} DrillItem
 * @typedef {DrillItem & {participants: string, note: string, end_note: string | null, playbook: string, techniques: string[], plant: {controller: Host, name: string, unit: number, stranger: Host},
 *   alerts: string[], incidents: number[], compared_with: number | null, steps: Step[]}} Drill
 */

export class DrillPage {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.session = session;
    /** The drill that is shown; 0: all of them; -1: nothing. */
    this.number = -1;
    this.round = 0;
    this.again = new Again(() => this.open(this.number));
    this.body = h("div", { class: "situation-body" });
    this.element = h("section", { class: "situation incidents", tabindex: -1, hidden: true, "aria-label": t("page.drills") }, this.body);
  }

  /**
   * Show a drill, or the list of all, as things are now.
   * @param {number} number
   */
  async open(number) {
    const round = ++this.round;
    this.again.begun();
    if (this.number !== number) fill(this.body, h("p", { class: "loading" }, t("page.loading")));
    this.number = number;
    this.element.hidden = false;
    try {
      const shown = await get(number ? `${api}/${number}` : api, number ? {} : { limit: LISTED });
      if (round === this.round) redrawn(this.body, () => (number ? this.drawOne(shown) : this.drawAll(shown.items)));
    } catch (error) {
      if (round === this.round) fill(this.body, h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : t("page.failed")));
    }
    if (round === this.round) this.again.answered();
  }

  close() {
    this.round += 1;
    this.number = -1;
    this.again.stop();
    this.element.hidden = true;
    fill(this.body);
  }

  /** Some alert or incident has changed: a step may have been taken. */
  changed() {
    if (!this.element.hidden) this.again.soon();
  }

  /** @param {DrillItem[]} drills */
  drawAll(drills) {
    const rows = drills.map((each) => [
      `#${each.number}`,
      [h("a", { href: `#${DRILLS}/${each.number}` }, each.title), " ", mark(true)],
      each.scenario_name,
      t(`drill.state.${each.state}`),
      time(each.started_at),
      each.started_by,
      each.site || "–",
    ]);
    const heads = ["page.drills", "field.title", "drills.scenario", "field.state", "drills.field.started", "drills.field.by", "field.site"];
    fill(
      this.body,
      h(
        "div",
        { class: "bar" },
        may(this.session, "alert.read") && h("a", { class: "button quiet", href: "#" }, icon("previous"), t("situation.back")),
        h("span", { class: "grow" }),
        may(this.session, "drill.run") && h("button", { type: "button", class: "primary", onclick: start }, t("drills.start")),
      ),
      h("h2", {}, t("page.drills")),
      table(heads, rows) ?? h("p", { class: "hint" }, t("drills.none")),
    );
  }

  /** @param {Drill} drill */
  drawOne(drill) {
    const rows = drill.steps.map((each) => [
      t(`drill.step.${each.step}`),
      each.at ? time(each.at) : "–",
      lasted(each.seconds),
      lasted(each.last_seconds),
      each.difference === null ? "–" : `${each.difference < 0 ? "−" : "+"}${lasted(Math.abs(each.difference))}`,
    ]);
    const name = drill.plant.name ? `${drill.plant.name} (${drill.plant.controller.ip})` : drill.plant.controller.ip;
    fill(
      this.body,
      h("div", { class: "bar" }, h("a", { class: "button quiet", href: `#${DRILLS}` }, icon("previous"), t("page.drills"))),
      h(
        "header",
        {},
        h("p", { class: "badges" }, h("span", { class: "quiet-text" }, `#${drill.number}`), h("strong", { role: "status" }, t(`drill.state.${drill.state}`)), mark(true)),
        h("h2", {}, drill.title),
        h("p", { class: "lead" }, drill.scenario_name, " · ", drill.techniques.join(", ")),
        drill.participants && h("p", {}, t("drills.participants"), ": ", drill.participants),
        drill.note && h("p", {}, drill.note),
        drill.end_note && h("p", {}, drill.end_note),
        h("p", { class: "hint" }, t("drills.plant", { controller: name, unit: String(drill.plant.unit), stranger: drill.plant.stranger.ip })),
        drill.state === "running" && may(this.session, "drill.run") && h("div", { class: "actions" }, this.ending(drill, "end", "primary"), this.ending(drill, "abort", "quiet")),
      ),
      part("drills.alerts", may(this.session, "alert.read") && drill.alerts.length > 0 && this.places(drill)),
      part(
        "drills.steps",
        h("p", { class: "hint" }, drill.compared_with === null ? t("drills.last.none") : t("drills.last", { number: String(drill.compared_with) })),
        table(["drills.field.step", "field.when", "drills.field.took", "drills.field.last", "drills.field.difference"], rows),
      ),
    );
  }

  /**
   * The alerts with which it begins, and the incidents that came of them.
   * @param {Drill} drill
   */
  places(drill) {
    return [
      h("p", { class: "hint" }, t("drills.alerts.hint")),
      h(
        "ul",
        { class: "tags" },
        drill.alerts.map((id, place) => h("li", {}, h("a", { href: `#${encodeURIComponent(id)}` }, t("drills.alerts.name", { place: counted(place + 1) })))),
        drill.incidents.map((each) => h("li", {}, h("a", { href: `#${INCIDENTS}/${each}` }, t("detail.incident", { number: String(each) })))),
      ),
    ];
  }

  /**
   * The button that ends it, in one of two ways.
   * @param {Drill} drill
   * @param {"end" | "abort"} way
   * @param {string} look
   */
  ending(drill, way, look) {
    const go = async () => {
      await ask({
        title: `${t(`drills.${way}`)}: ${drill.title}`,
        hint: t(`drills.${way}.hint`),
        fields: [reason("note")],
        confirm: t(`drills.${way}`),
        send: (values) => call("POST", `${api}/${drill.number}/${way}`, { body: { note: String(values.get("note")) }, etag: `"${drill.version}"` }),
      });
      this.open(this.number);
    };
    return h("button", { type: "button", class: look, onclick: go }, t(`drills.${way}`));
  }
}

const api = "/api/drills";

/** How long a step took, to the second. @param {number | null} seconds */
function lasted(seconds) {
  if (seconds === null) return "–";
  const whole = Math.round(seconds);
  return t("drills.seconds", { minutes: counted(Math.floor(whole / 60)), seconds: counted(whole % 60) });
}

/** Ask what is to be drilled, start it, and show it. */
async function start() {
  /** @type {{key: string, name: string, text: string, techniques: string[]}[]} */
  const scenarios = await get(`${api}/scenarios`);
  const said = h("p", { class: "hint" });
  const made = await ask({
    title: t("drills.start"),
    hint: t("drills.start.hint"),
    fields: [
      choice("scenario", "drills.scenario", scenarios.map((each) => /** @type {const} */ ([each.key, each.name])), { required: true }),
      said,
      line("title", "field.title", { required: true }),
      line("site", "field.site", { maxlength: 255 }, "incident.site.hint"),
      line("participants", "drills.participants", { maxlength: 4000 }),
      lines("note", "action.acknowledge.note"),
    ],
    confirm: t("drills.start"),
    send: async (values) => {
      const words = (/** @type {string} */ name) => String(values.get(name) ?? "").trim();
      const body = { scenario: words("scenario"), title: words("title"), site: words("site") || null, participants: words("participants"), note: words("note") };
      return (await call("POST", api, { body })).data;
    },
    ready: (form) => {
      const tell = () => {
        const chosen = scenarios.find((each) => each.key === new FormData(form).get("scenario"));
        fill(said, chosen ? `${chosen.text} ${chosen.techniques.join(", ")}` : "");
      };
      form.addEventListener("change", tell);
      tell();
    },
  });
  if (made) location.hash = `#${DRILLS}/${made.number}`;
}
