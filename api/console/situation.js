// The page of the situation: how the plant is now, or was at a time before, in one look.

import { Again } from "./again.js";
import { get } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { HANDOVERS } from "./handovers.js";
import { INCIDENTS } from "./incidents.js";
import { drill, lasting, left, part, roman, table } from "./tables.js";
import { number, t, time } from "./texts.js";
import { unheardOf } from "./unheard.js";

/** Place of the page, behind the address's #. */
export const SITUATION = "/situation";

/**
 * @typedef {{alerts: number, severity: string | null}} Worst
 * @typedef {{as_of: string, past: boolean, standing: string, limited: boolean, furthest: string | null,
 *   counts: {severity: string, new: number, triaging: number, escalated: number}[],
 *   stories: {id: string, sentence: string, severity: string, alerts: number, stages: string[], last_seen: string}[],
 *   alerts: {site: string, id: string, severity: string, state: string, title: string, summary: string, last_seen: string}[],
 *   assets: (Worst & {address: string, asset: string | null, name: string, criticality: string | null, zone: string | null, level: string | null, acts: number, suffers: number})[],
 *   zones: (Worst & {site: string, name: string | null, level: string | null, assets: number, standing: string})[],
 *   conduits: (Worst & {site: string, zones: string[], declared: boolean, protocols: string[], standing: string})[],
 *   levels: (Worst & {level: string | null, standing: string})[],
 *   points: (Worst & {site: string, server: string | null, point: string})[],
 *   load: {day: number, day_limit: number, worst_ten_minutes: number, worst_at: string | null, ten_minutes_limit: number, floods: number, hours: number[], verdict: string},
 *   blindness: {sensors: {sensor: string, at: string | null, dropped: number, causes: string[]}[], unheard: import("./unheard.js").Unheard[], silent: string[] | null, gaps: number | null, unseen: {reason: string, records: number, share: number}[], readable: boolean},
 *   baseline: {site: string, sensor: string, phase: string, learning: boolean, immaturity: number, heard_hours: number}[] | null,
 *   stages: {tactic: string, name: string, alerts: number}[],
 *   incidents: {site: string, number: number, title: string, state: string | null, grade: number | null, drill: boolean, discovered_at: string, seconds: number, on_hold: boolean, clocks: {rule: string, due_at: string | null, seconds_left: number | null}[]}[],
 *   changes: Record<string, number | string | null> & {since: string, since_of: string}}} Plant
 */

/** A table of which the first column is the site, told where there are several. @typedef {(heads: string[], rows: (import("./dom.js").Child | import("./dom.js").Child[])[][]) => Node | null} Sited */

const CHANGES = ["raised", "acknowledged", "escalated", "closed", "recurred", "incidents_declared", "incidents_closed", "assets", "zones", "decisions"];

export class SituationPage {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.round = 0;
    /** The site that is shown, null for all. @type {string | null} */
    this.site = null;
    /** The sites that something was heard of. */
    this.sites = new Set(session.sites ?? []);
    this.choice = h("select", { id: "situation-site", onchange: () => this.choose() });
    this.chooser = h("span", { class: "chooser", hidden: true }, h("label", { for: "situation-site" }, t("field.site")), this.choice);
    this.asOf = "";
    this.again = new Again(() => this.open());
    this.moment = h("input", { type: "datetime-local", id: "situation-as-of", step: 1, onchange: () => this.choose() });
    this.body = h("div", { class: "situation-body" });
    this.element = h(
      "section",
      { class: "situation", tabindex: -1, hidden: true, "aria-label": t("page.situation") },
      h(
        "div",
        { class: "bar" },
        h("a", { class: "button quiet", href: "#" }, icon("previous"), t("situation.back")),
        this.chooser,
        h("label", { for: "situation-as-of" }, t("situation.as_of")),
        this.moment,
        h("button", { type: "button", class: "quiet", onclick: () => { this.moment.value = ""; this.choose(); } }, t("situation.now")),
        h("span", { class: "grow" }),
        h("a", { class: "button quiet", href: `#${HANDOVERS}` }, t("handover.label"), icon("next")),
      ),
      this.body,
    );
  }

  /** Show the page as the plant is. */
  async open() {
    const round = ++this.round;
    this.again.begun();
    this.element.hidden = false;
    if (!this.body.childElementCount) fill(this.body, h("p", { class: "loading" }, t("page.loading")));
    try {
      // The site without a name is one, too: it is asked for by an empty one.
      const asked = new URLSearchParams({ ...(this.site === null ? {} : { site: this.site }), ...(this.asOf ? { as_of: this.asOf } : {}) });
      const plant = await get(`/api/situation?${asked}`);
      if (round === this.round) this.draw(plant);
    } catch (error) {
      if (round === this.round) fill(this.body, h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : t("page.failed")));
    }
    if (round !== this.round) return;
    this.again.answered();
    if (!this.asOf) this.again.later();
  }

  close() {
    this.round += 1;
    this.again.stop();
    this.element.hidden = true;
    fill(this.body);
  }

  /** Something has changed: look again, soon. A past time stays as it is. */
  changed() {
    if (!this.element.hidden && !this.asOf) this.again.soon();
  }

  /** Another site was chosen, or another time, in the viewer's zone. */
  choose() {
    const site = this.choice.selectedOptions[0]?.dataset["site"];
    this.site = site === undefined ? null : site;
    this.asOf = this.moment.value ? new Date(this.moment.value).toISOString() : "";
    this.open();
  }

  /** The sites to choose from, where there are several. */
  drawSites() {
    this.chooser.hidden = this.sites.size < 2;
    const names = [...this.sites].sort();
    // What somebody is about to choose from is not drawn anew.
    if (this.choice.options.length === names.length + 1) return;
    fill(
      this.choice,
      h("option", { selected: this.site === null }, t("situation.all_sites")),
      names.map((name) => h("option", { "data-site": name, selected: name === this.site }, name || t("accounts.sites.unnamed"))),
    );
  }

  /** @param {Plant} plant */
  draw(plant) {
    for (const each of [...plant.alerts, ...plant.zones, ...plant.conduits, ...plant.points, ...plant.incidents]) this.sites.add(each.site);
    this.drawSites();
    /** Of several sites each thing is told with its own. @type {Sited} */
    const sited = this.site === null && this.sites.size > 1 ? (heads, rows) => table(["field.site", ...heads], rows) : (heads, rows) => table(heads, rows.map((row) => row.slice(1)));
    fill(
      this.body,
      h(
        "p",
        { class: `standing standing-${plant.standing}`, role: "status" },
        h("strong", {}, t(`standing.${plant.standing}`)),
        " ",
        plant.past ? [t("situation.as_it_was"), " ", time(plant.as_of)] : t("situation.as_it_is"),
      ),
      plant.limited && h("p", { class: "hint" }, t("situation.limited")),
      h("div", { class: "tiles" }, countsOf(plant), loadOf(plant), stagesOf(plant), blindnessOf(plant), maturityOf(plant), changesOf(plant)),
      part("situation.incidents", incidentsOf(plant, sited)),
      part("situation.stories", storiesOf(plant)),
      part("situation.alerts", alertsOf(plant, sited)),
      part("situation.zones", zonesOf(plant, sited)),
      part("situation.conduits", conduitsOf(plant, sited)),
      part("situation.levels", levelsOf(plant)),
      part("situation.assets", assetsOf(plant)),
      part("situation.points", pointsOf(plant, sited)),
    );
  }
}

/**
 * @param {string} key
 * @param {...(import("./dom.js").Child | import("./dom.js").Child[])} content
 */
function tile(key, ...content) {
  return h("section", { class: "tile", "aria-label": t(key) }, h("h3", {}, t(key)), ...content);
}

/** @param {string | null} severity */
function pill(severity) {
  return severity ? h("span", { class: `pill sev-${severity}` }, t(`severity.${severity}`)) : h("span", { class: "quiet-text" }, "–");
}

/** @param {string} standing */
const stands = (standing) => h("span", { class: `standing-${standing}` }, t(`standing.${standing}`));

/** @param {Plant} plant */
function countsOf(plant) {
  const open = plant.counts.filter((each) => each.new + each.triaging + each.escalated);
  if (!open.length) return tile("situation.open", h("p", { class: "quiet-text" }, t("situation.none")));
  const states = ["new", "triaging", "escalated"];
  const rows = open.map((each) => [pill(each.severity), number(each.new), number(each.triaging), number(each.escalated)]);
  return tile("situation.open", table(["field.severity", ...states.map((state) => `state.${state}`)], rows));
}

/** @param {Plant} plant */
function loadOf({ load }) {
  const most = Math.max(load.ten_minutes_limit, ...load.hours);
  const bars = load.hours.map((count, place) =>
    h("span", { class: "bar-of-hour", title: t("situation.load.hour", { hours: 24 - place, count: number(count) }) }, h("span", { class: `height-${Math.ceil((count / most) * 10)}` })),
  );
  return tile(
    "situation.load",
    h("p", {}, h("strong", { class: `verdict-${load.verdict}` }, t(`load.${load.verdict}`))),
    h("p", {}, t("situation.load.day", { count: number(load.day), limit: number(load.day_limit) })),
    h("p", {}, t("situation.load.worst", { count: number(load.worst_ten_minutes), limit: number(load.ten_minutes_limit) })),
    load.floods > 0 && h("p", { class: "quiet-text" }, t("situation.load.floods", { count: number(load.floods) })),
    h("div", { class: "hours", role: "img", "aria-label": t("situation.load.hours", { count: number(load.day) }) }, bars),
  );
}

/** @param {Plant} plant */
function stagesOf({ stages, furthest }) {
  if (!stages.length) return tile("situation.stages", h("p", { class: "quiet-text" }, t("situation.none")));
  const items = stages.map((stage) => h("li", {}, stage.name === furthest ? h("strong", {}, stage.name) : stage.name, " ", h("span", { class: "quiet-text" }, number(stage.alerts))));
  return tile("situation.stages", h("ol", {}, items));
}

/** @param {Plant} plant */
function blindnessOf({ blindness }) {
  const said = [
    ...unheardOf(blindness),
    ...blindness.unseen.map((each) => t(`unseen.${each.reason}`, { percent: number(Math.round(each.share * 1000) / 10), records: number(each.records) })),
    ...blindness.sensors.filter((each) => each.dropped).map((each) => t("situation.dropped", { sensor: each.sensor, count: number(each.dropped), causes: each.causes.join(", ") })),
  ];
  if (!blindness.readable) said.unshift(t("situation.unreadable"));
  if (blindness.gaps) said.push(t("situation.gaps", { count: number(blindness.gaps) }));
  return tile("situation.blindness", said.length ? h("ul", {}, said.map((each) => h("li", {}, each))) : h("p", { class: "quiet-text" }, t(blindness.sensors.length ? "situation.sees_all" : "document.gap.no_sensors")));
}

/** @param {Plant} plant */
function maturityOf({ baseline }) {
  if (!baseline?.length) return tile("situation.baseline", h("p", { class: "quiet-text" }, t(baseline ? "tuning.baseline.none" : "situation.unknown")));
  const items = baseline.map((each) =>
    h("li", {}, h("strong", {}, each.sensor), " ", t(each.learning ? "situation.learning" : `phase.${each.phase}`), " ", h("span", { class: "quiet-text" }, t("situation.immaturity", { percent: number(Math.round(each.immaturity * 1000) / 10), hours: number(each.heard_hours) }))),
  );
  return tile("situation.baseline", h("ul", {}, items));
}

/** @param {Plant} plant */
function changesOf({ changes }) {
  const some = CHANGES.filter((name) => changes[name]);
  const items = some.map((name) => h("li", {}, t(`changes.${name}`, { count: number(Number(changes[name])) })));
  return tile("situation.changes", h("p", { class: "quiet-text" }, t(`situation.since.${changes.since_of}`), " ", time(changes.since)), items.length ? h("ul", {}, items) : h("p", { class: "quiet-text" }, t("situation.nothing_changed")));
}

/**
 * The legal clock that ends first; red when it is over.
 * @param {Plant["incidents"][number]["clocks"]} clocks
 */
function dueOf(clocks) {
  const next = clocks.find((each) => each.due_at !== null);
  if (!next?.due_at) return "–";
  return [left(next.seconds_left ?? 0), " ", h("span", { class: "quiet-text" }, time(next.due_at), " ", next.rule)];
}

/** @param {Plant} plant @param {Sited} sited */
function incidentsOf({ incidents }, sited) {
  const rows = incidents.map((each) => [
    each.site || "–",
    `#${each.number}`,
    [h("a", { href: `#${INCIDENTS}/${each.number}` }, each.title), " ", drill(each.drill)],
    each.state ? t(`incident.state.${each.state}`) : "–",
    roman(each.grade),
    time(each.discovered_at),
    lasting(each.seconds),
    dueOf(each.clocks),
  ]);
  return sited(["field.incident", "field.title", "field.state", "field.grade", "field.discovered", "field.clock", "field.due"], rows);
}

/** @param {Plant} plant */
function storiesOf({ stories }) {
  if (!stories.length) return null;
  const items = stories.map((story) =>
    h("li", {}, pill(story.severity), " ", h("a", { href: `#${encodeURIComponent(story.id)}` }, story.sentence), " ", h("span", { class: "quiet-text" }, story.stages.join(" → "))),
  );
  return h("ol", { class: "lines" }, items);
}

/** @param {Plant} plant @param {Sited} sited */
function alertsOf({ alerts }, sited) {
  const rows = alerts.map((alert) => [alert.site || "–", pill(alert.severity), h("a", { href: `#${encodeURIComponent(alert.id)}` }, alert.title), alert.summary, t(`state.${alert.state}`), time(alert.last_seen)]);
  return sited(["field.severity", "field.title", "field.summary", "field.state", "field.last_seen"], rows);
}

/** @param {Plant} plant @param {Sited} sited */
function zonesOf({ zones }, sited) {
  const rows = zones.map((zone) => [zone.site || "–", zone.name ?? t("situation.no_zone"), zone.level ?? "–", stands(zone.standing), pill(zone.severity), number(zone.alerts), number(zone.assets)]);
  return sited(["field.zone", "field.level", "field.standing", "field.severity", "field.alerts", "field.assets"], rows);
}

/** @param {Plant} plant @param {Sited} sited */
function conduitsOf({ conduits }, sited) {
  const rows = conduits.map((each) => [
    each.site || "–",
    each.zones.join(" – "),
    each.declared ? each.protocols.join(", ") || t("situation.any_protocol") : h("strong", {}, t("situation.undeclared")),
    stands(each.standing),
    pill(each.severity),
    number(each.alerts),
  ]);
  return sited(["field.conduit", "field.protocols", "field.standing", "field.severity", "field.alerts"], rows);
}

/** @param {Plant} plant */
function levelsOf({ levels }) {
  const rows = levels.filter((each) => each.level !== null || each.alerts).map((each) => [each.level ?? t("situation.no_level"), stands(each.standing), pill(each.severity), number(each.alerts)]);
  return table(["field.level", "field.standing", "field.severity", "field.alerts"], rows);
}

/** @param {Plant} plant */
function assetsOf({ assets }) {
  const rows = assets.map((asset) => [
    asset.name,
    asset.address,
    asset.criticality ? t(`criticality.${asset.criticality}`) : t("situation.unregistered"),
    asset.zone ?? "–",
    asset.level ?? "–",
    pill(asset.severity),
    number(asset.acts),
    number(asset.suffers),
  ]);
  return table(["field.asset", "field.address", "field.criticality", "field.zone", "field.level", "field.severity", "field.acts", "field.suffers"], rows);
}

/** @param {Plant} plant @param {Sited} sited */
function pointsOf({ points }, sited) {
  const rows = points.map((each) => [each.site || "–", each.point, each.server ?? "–", pill(each.severity), number(each.alerts)]);
  return sited(["field.point", "field.server", "field.severity", "field.alerts"], rows);
}
