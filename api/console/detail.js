// One alert: what was seen, what it means, what to do, the records behind it, and the decision.

import { Again } from "./again.js";
import { Problem, call, get, may, whole } from "./api.js";
import { snooze, wake } from "./aside.js";
import { around } from "./context.js";
import { accept, assign, comment, decide, detach } from "./decision.js";
import { addTo, declare } from "./declare.js";
import { fill, h, icon } from "./dom.js";
import { except } from "./exceptions.js";
import { INCIDENTS } from "./incidents.js";
import { merge, merged, merges } from "./merging.js";
import { proposals } from "./proposals.js";
import { recordTables } from "./records.js";
import { similar } from "./similar.js";
import { drill, redrawn } from "./tables.js";
import { number, t, time } from "./texts.js";

/** @typedef {import("./api.js").Alert} Alert */

export class AlertDetail {
  /**
   * @param {import("./api.js").Session} session
   * @param {{close: () => void, beside: (id: string, step: number) => string | undefined, changed: (item: import("./api.js").AlertItem) => void}} surroundings
   */
  constructor(session, surroundings) {
    this.session = session;
    this.surroundings = surroundings;
    this.id = "";
    this.shown = "";
    this.element = h("article", { class: "detail", "aria-live": "off", tabindex: -1, hidden: true });
    this.records = h("div", { class: "records" });
    this.history = h("ol", { class: "history" });
    this.context = h("div", { class: "context" });
    this.similar = h("div", {});
    this.merges = h("div", {});
    /** Why what was asked for was not done. */
    this.problem = h("p", { class: "problem", role: "alert" });
    /** Exceptions that could be made for an alert that was false. */
    this.proposals = h("div", {});
    /** What is offered there, as JSON. */
    this.offered = "";
    this.again = new Again(() => this.open(this.id));
    /** Records of what is related to the alert, by rule, as far as they are opened. @type {Map<string, HTMLElement>} */
    this.related = new Map();
  }

  /**
   * Open an alert, or show it as it is now.
   * @param {string} id
   */
  async open(id) {
    const fresh = this.id !== id;
    this.again.begun();
    this.id = id;
    this.element.hidden = false;
    if (fresh) {
      this.related.clear();
      fill(this.problem);
      fill(this.merges);
      fill(this.proposals);
      this.offered = "";
      fill(this.element, h("p", { class: "loading" }, t("page.loading")));
    }
    try {
      const path = `/api/alerts/${encodeURIComponent(id)}`;
      const [{ data, etag }, history, found] = await Promise.all([call("GET", path), whole(`${path}/history?limit=500`), whole(`${path}/merges`)]);
      if (this.id !== id) return;
      redrawn(this.element, () => {
        fill(this.merges, found.length ? merges(found, data, etag, this.session, (asked) => this.act(asked)) : null);
        this.draw(data, etag);
      });
      this.drawHistory(history);
      if (fresh) {
        this.openPart(id, this.context, `${path}/context`, around);
        this.openPart(id, this.similar, `${path}/similar`, similar);
      }
      if (data.triage.disposition === "false_positive" && may(this.session, "exception.write")) {
        const found = await get(`${path}/exceptions`);
        if (this.id !== id) return;
        // What is read meanwhile stays as it is, as long as the same is offered.
        if (this.offered !== JSON.stringify(found)) redrawn(this.proposals, () => fill(this.proposals, proposals(found, data)));
        this.offered = JSON.stringify(found);
      }
      if (fresh) {
        this.element.scrollTop = 0;
        this.element.focus({ preventScroll: true });
        this.shown = "";
      }
      const identities = data.records.join();
      if (this.shown !== identities && may(this.session, "records.read")) {
        const records = await get(`${path}/records`);
        if (this.id !== id) return;
        this.shown = identities;
        fill(this.records, recordTables(records, data.count));
      }
    } catch (error) {
      if (this.id !== id) return;
      const problem = error instanceof Problem ? error.message : t("page.failed");
      fill(this.element, this.bar(), h("p", { class: "problem", role: "alert" }, problem));
    }
    if (this.id === id) this.again.answered();
  }

  /** It has changed: show it as it is now, soon. */
  changed() {
    if (this.id) this.again.soon();
  }

  close() {
    this.again.stop();
    this.id = "";
    this.element.hidden = true;
    fill(this.element);
  }

  bar() {
    const go = (/** @type {number} */ step, /** @type {string} */ name, /** @type {string} */ label) => {
      const id = this.surroundings.beside(this.id, step);
      return h("a", { class: "button quiet square", href: id ? `#${encodeURIComponent(id)}` : null, "aria-disabled": !id, "aria-label": t(label), title: t(label) }, icon(name));
    };
    return h(
      "div",
      { class: "bar" },
      go(-1, "previous", "detail.previous"),
      go(1, "next", "detail.next"),
      h("span", { class: "grow" }),
      h("button", { type: "button", class: "quiet square", "aria-label": t("detail.close_panel"), title: t("detail.close_panel"), onclick: () => this.surroundings.close() }, icon("close")),
    );
  }

  /**
   * @param {Alert} alert
   * @param {string | null} etag
   */
  draw(alert, etag) {
    const { triage } = alert;
    const fact = (/** @type {string} */ key, /** @type {Node | string | null} */ value) =>
      value === null ? null : h("div", {}, h("dt", {}, t(`detail.${key}`)), h("dd", {}, value));
    const section = (/** @type {string} */ key, /** @type {(Node | null)[]} */ ...content) => h("section", {}, h("h3", {}, t(`detail.${key}`)), content);
    fill(
      this.element,
      this.bar(),
      h(
        "header",
        { class: `sev-${alert.severity}` },
        h(
          "p",
          { class: "badges" },
          h("span", { class: `pill sev-${alert.severity}` }, t(`severity.${alert.severity}`)),
          h("span", { class: `state ${triage.state}` }, t(`state.${triage.state}`)),
          triage.by ? h("span", { class: "by" }, t("detail.by", { name: triage.by })) : null,
          triage.disposition ? h("span", { class: "by" }, t(`disposition.${triage.disposition}`)) : null,
          drill(alert.drill !== null),
          triage.incident ? h("a", { href: `#${INCIDENTS}/${triage.incident}` }, t("detail.incident", { number: triage.incident })) : null,
        ),
        h("h2", {}, alert.title),
        h("p", { class: "lead" }, alert.summary),
        alert.drill === null ? null : h("p", { class: "hint" }, t("detail.drill", { number: String(alert.drill) })),
        alert.part_of
          ? h("p", { class: "hint" }, `${t("detail.part_of")}: `, h("a", { href: `#${encodeURIComponent(alert.part_of)}` }, t("detail.part_of.open")), " ", this.detaching(alert, etag))
          : null,
        alert.exception
          ? h("p", { class: "hint" }, t("detail.exception", { name: alert.exception.name, reason: alert.exception.reason ?? "–" }))
          : null,
        alert.suppressed_by ? h("p", { class: "hint" }, t("detail.suppressed", { number: alert.suppressed_by })) : null,
        alert.snooze ? h("p", { class: "hint" }, t("detail.snoozed", { name: alert.snooze.by, note: alert.snooze.note }), " ", time(alert.snooze.until)) : null,
        this.actions(alert, etag),
        this.problem,
      ),
      h(
        "dl",
        { class: "facts" },
        fact("site", alert.site || null),
        fact("client", alert["client.ip"]),
        fact("server", alert["server.ip"]),
        fact("first", time(alert.first_seen)),
        fact("last", time(alert.last_seen)),
        fact("count", number(alert.count)),
        fact("confidence", `${Math.round(alert.confidence * 100)} %`),
        h("div", { class: "wide" }, h("dt", {}, t("detail.rule")), h("dd", {}, h("code", {}, alert.rule))),
      ),
      h(
        "div",
        { class: "compare" },
        h("section", {}, h("h3", {}, t("detail.expected")), h("p", {}, alert.expected)),
        h("section", { class: `sev-${alert.severity}` }, h("h3", {}, t("detail.observed")), h("p", {}, alert.observed)),
      ),
      // One that is open stays, also where the alert comes back meanwhile.
      (triage.disposition === "false_positive" && may(this.session, "exception.write")) || this.proposals.querySelector("details[open]") ? section("proposals", this.proposals) : null,
      alert.holds.length ? section("holds", links(alert.holds)) : null,
      alert.merged.length ? section("merged", merged(alert, this.session, (asked) => this.act(asked))) : null,
      this.merges.childElementCount ? section("merges", this.merges) : null,
      alert.story ? section("story", ...story(alert.story, alert.id)) : null,
      alert.next_steps.length ? section("next_steps", h("ol", { class: "steps" }, alert.next_steps.map((step) => h("li", {}, step)))) : null,
      alert.techniques.length ? section("techniques", techniques(alert)) : null,
      section("context", this.context),
      section("similar", this.similar),
      alert.related.length ? section("related", this.findings(alert)) : null,
      may(this.session, "packets.read") && section("evidence", evidence(alert)),
      may(this.session, "records.read") && section("records", alert.drill === null ? this.records : h("p", { class: "hint" }, t("detail.drill.records"))),
      section("history", this.history, may(this.session, "alert.decide") ? this.commenting(alert) : null),
    );
    if (this.shown !== alert.records.join()) fill(this.records, h("p", { class: "loading" }, t("page.loading")));
  }

  /**
   * @param {Alert} alert
   * @param {string | null} etag
   */
  actions(alert, etag) {
    if (alert.triage.state === "closed") return null;
    if (!may(this.session, "alert.decide")) return h("p", { class: "hint" }, t("action.viewer"));
    const act = async (/** @type {Promise<import("./api.js").AlertItem | null>} */ decided) => {
      fill(this.problem);
      try {
        const item = await decided;
        if (item) this.surroundings.changed(item);
      } catch (error) {
        fill(this.problem, error instanceof Error ? error.message : String(error));
      }
    };
    /** @type {Partial<import("./exceptions.js").Scope>} */
    const narrow = { rules: [alert.rule], clients: [alert["client.ip"]].filter((each) => each !== null), servers: [alert["server.ip"]].filter((each) => each !== null) };
    return h(
      "div",
      { class: "actions" },
      alert.triage.state === "new"
        ? h("button", { type: "button", class: "primary", onclick: () => act(decide("acknowledge", alert, etag)) }, icon("check"), t("action.acknowledge"))
        : null,
      h("button", { type: "button", class: alert.triage.state === "new" ? "" : "primary", onclick: () => act(decide("close", alert, etag)) }, t("action.close")),
      h("button", { type: "button", class: "quiet", onclick: () => act(assign(alert, etag)) }, t("action.assign")),
      alert.triage.state === "escalated" ? null : h("button", { type: "button", class: "quiet", onclick: () => act(snooze(alert, etag)) }, t("action.snooze")),
      alert.snooze ? h("button", { type: "button", onclick: () => act(wake(alert, etag)) }, t("action.wake")) : null,
      alert.merged_into === null && h("button", { type: "button", class: "quiet", onclick: () => act(merge(alert, etag)) }, t("action.merge")),
      alert.drill === null && h("button", { type: "button", class: "quiet", onclick: () => act(accept(alert, etag)) }, t("action.accept")),
      alert.drill === null && h("button", { type: "button", class: "quiet", onclick: () => except(narrow, { site: alert.site, alert: alert.id }) }, t("action.except")),
      alert.triage.incident === null && may(this.session, "incident.declare") && h("button", { type: "button", class: "quiet", onclick: () => act(declare(this.session, alert)) }, t("incidents.declare")),
      alert.triage.incident === null && may(this.session, "incident.work") && h("button", { type: "button", class: "quiet", onclick: () => act(addTo(alert)) }, t("incidents.add")),
    );
  }

  /** The button that adds a line to the history, of a closed alert too. @param {Alert} alert */
  commenting(alert) {
    const go = async () => {
      if (await comment(alert)) await this.open(alert.id);
    };
    return h("button", { type: "button", class: "quiet", onclick: go }, t("action.comment"));
  }

  /**
   * The button that lets an alert be told by itself.
   * @param {Alert} alert
   * @param {string | null} etag
   */
  detaching(alert, etag) {
    if (!may(this.session, "alert.decide")) return null;
    const go = async () => {
      const item = await detach(alert, etag);
      if (item) this.surroundings.changed(item);
    };
    return h("button", { type: "button", class: "quiet", onclick: go }, t("action.detach"));
  }

  /**
   * A part that is asked for once; the page does not wait for it.
   * @param {string} id of the alert
   * @param {HTMLElement} place where it goes
   * @param {string} path
   * @param {(found: any) => Node} shown
   */
  async openPart(id, place, path, shown) {
    fill(place, h("p", { class: "loading" }, t("page.loading")));
    try {
      const found = await get(path);
      if (this.id === id) fill(place, shown(found));
    } catch (error) {
      if (this.id === id) fill(place, h("p", { class: "problem", role: "alert" }, error instanceof Problem ? error.message : t("page.failed")));
    }
  }

  /**
   * Do what a person asked for, and show what came of it.
   * @param {Promise<unknown>} asked
   */
  async act(asked) {
    fill(this.problem);
    try {
      if (await asked) await this.open(this.id);
    } catch (error) {
      fill(this.problem, error instanceof Error ? error.message : String(error));
    }
  }

  /** Findings of other rules that belong to the alert; each opens on its records. @param {Alert} alert */
  findings(alert) {
    const item = (/** @type {import("./api.js").Related} */ finding) => {
      const records = this.related.get(finding.rule) ?? h("div", { class: "records" });
      const toggled = (/** @type {Event} */ event) => {
        if (!(/** @type {HTMLDetailsElement} */ (event.currentTarget).open)) this.related.delete(finding.rule);
        else if (!this.related.has(finding.rule)) this.openRelated(alert.id, finding, records);
      };
      return h(
        "details",
        { open: this.related.has(finding.rule), ontoggle: toggled },
        h(
          "summary",
          {},
          h("span", { class: `pill sev-${finding.severity}` }, t(`severity.${finding.severity}`)),
          h("span", {}, finding.title),
          h("span", { class: "when" }, t("detail.related.records", { count: number(finding.count) })),
        ),
        records,
      );
    };
    return h("ul", { class: "related" }, alert.related.map((finding) => h("li", {}, item(finding))));
  }

  /**
   * @param {string} id of the alert
   * @param {import("./api.js").Related} finding
   * @param {HTMLElement} place where its records go
   */
  async openRelated(id, finding, place) {
    this.related.set(finding.rule, place);
    fill(place, h("p", { class: "loading" }, t("page.loading")));
    try {
      const records = await get(`/api/alerts/${encodeURIComponent(id)}/records`, { related: finding.rule });
      fill(place, recordTables(records, finding.count));
    } catch (error) {
      fill(place, h("p", { class: "problem", role: "alert" }, error instanceof Problem ? error.message : t("page.failed")));
    }
  }

  /** @param {{at: string, kind: string, actor: string, note: string | null, disposition: string | null, permit: string | null, count: number, other: string | null}[]} entries */
  drawHistory(entries) {
    fill(
      this.history,
      entries.map((entry) =>
        h(
          "li",
          { class: entry.kind },
          h("p", {}, h("strong", {}, t(`history.${entry.kind}`)), entry.other ? ` → ${entry.other}` : null, entry.actor === "system" ? null : ` · ${entry.actor}`, h("span", { class: "when" }, time(entry.at))),
          entry.disposition ? h("p", {}, t(`disposition.${entry.disposition}`), entry.permit ? ` · ${entry.permit}` : null) : null,
          entry.note ? h("p", { class: "note" }, entry.note) : null,
        ),
      ),
    );
  }
}

/** Links to the packets of an alert. @param {import("./api.js").Alert} alert */
function evidence(alert) {
  const path = `/api/alerts/${encodeURIComponent(alert.id)}/evidence`;
  const sensors = [...new Set(alert.records.map((record) => record.split("/").slice(0, -3).join("/")))];
  const link = (/** @type {string} */ key, /** @type {string} */ href) => h("li", {}, h("a", { href, target: "_blank", rel: "noreferrer" }, t(`detail.evidence.${key}`)));
  return h(
    "div",
    {},
    h("ul", { class: "tags" }, link("file", path), link("masked", `${path}?mask_values=true`), link("manifest", `${path}?form=zip`)),
    sensors.length > 1
      ? h(
          "p",
          {},
          `${t("detail.evidence.sensors")} `,
          sensors.map((sensor) => h("a", { href: `${path}?form=zip&sensor=${encodeURIComponent(sensor)}`, target: "_blank", rel: "noreferrer" }, sensor, " ")),
        )
      : null,
    h("p", { class: "hint" }, t("detail.evidence.hint")),
  );
}

/**
 * A course of action: its sentence, its stages, and its other alerts.
 * @param {import("./api.js").Story} told
 * @param {string} id of the alert that is open
 */
function story(told, id) {
  return [
    h("p", {}, told.sentence),
    h(
      "ol",
      { class: "stages" },
      told.stages.map((stage) =>
        h("li", {}, h("strong", {}, stage.name), h("span", { class: "when" }, time(stage.first_seen)), h("span", { class: "ids" }, stage.techniques.join(", "))),
      ),
    ),
    links(told.alerts, id),
  ];
}

/**
 * Links to alerts, numbered.
 * @param {string[]} ids
 * @param {string} [open] the one that is open
 */
function links(ids, open) {
  const link = (/** @type {string} */ id, /** @type {number} */ place) =>
    id === open ? null : h("li", {}, h("a", { href: `#${encodeURIComponent(id)}` }, t("detail.alert", { place: number(place + 1) })));
  return h("ul", { class: "tags" }, ids.map(link));
}

/** @param {Alert} alert */
function techniques(alert) {
  return h(
    "ul",
    { class: "tags" },
    alert.techniques.map((id) =>
      h("li", {}, h("a", { href: `https://attack.mitre.org/techniques/${encodeURIComponent(id)}/`, target: "_blank", rel: "noreferrer" }, id)),
    ),
    alert.technique_aliases.length ? h("li", { class: "hint" }, t("detail.techniques.formerly", { ids: alert.technique_aliases.join(", ") })) : null,
  );
}
