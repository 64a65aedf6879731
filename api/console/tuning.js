// The page of what the sites take as normal: exceptions in force, the baseline and its proposals, decisions.

import { Again } from "./again.js";
import { get, may } from "./api.js";
import { baselineOf, decisionList } from "./baseline.js";
import { fill, h, icon } from "./dom.js";
import { except, exceptionList } from "./exceptions.js";
import { sites } from "./sites.js";
import { redrawn } from "./tables.js";
import { t } from "./texts.js";

/** Place of the page, behind the address's #. */
export const TUNING = "/tuning";

export class Tuning {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.session = session;
    this.round = 0;
    this.again = new Again(() => this.open());
    this.element = h("section", { class: "tuning", tabindex: -1, hidden: true, "aria-label": t("page.tuning") });
  }

  /** Show the page as things are now. */
  async open() {
    const round = ++this.round;
    this.again.begun();
    this.element.hidden = false;
    if (!this.element.childElementCount) fill(this.element, h("p", { class: "loading" }, t("page.loading")));
    try {
      const [known, exceptions, baseline, decisions] = await Promise.all([sites(), get("/api/exceptions"), get("/api/baseline"), get("/api/baseline/decisions")]);
      if (round !== this.round) return;
      redrawn(this.element, () => this.draw(known, exceptions, baseline, decisions));
    } catch (error) {
      if (round !== this.round) return;
      fill(this.element, this.bar(), h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : t("page.failed")));
    }
    this.again.answered();
    this.again.later();
  }

  close() {
    this.round += 1;
    this.again.stop();
    this.element.hidden = true;
    fill(this.element);
  }

  /** Some exception has changed: look again, soon. */
  changed() {
    if (!this.element.hidden) this.again.soon();
  }

  bar() {
    return h("div", { class: "bar" }, h("a", { class: "button quiet", href: "#" }, icon("previous"), t("tuning.back")));
  }

  /**
   * @param {string[]} known names of the sites
   * @param {import("./exceptions.js").Exception[]} exceptions
   * @param {import("./baseline.js").Baseline[]} baseline
   * @param {import("./baseline.js").Decision[]} decisions
   */
  draw(known, exceptions, baseline, decisions) {
    const changed = () => this.open();
    const sited = new Set([...known, ...[...exceptions, ...baseline, ...decisions].map((each) => each.site)]).size > 1;
    fill(
      this.element,
      this.bar(),
      h("h2", {}, t("tuning.exceptions")),
      may(this.session, "exception.write") && h("div", { class: "actions" }, h("button", { type: "button", onclick: async () => (await except({})) && changed() }, t("tuning.new"))),
      exceptionList(exceptions, this.session, sited, changed),
      h("h2", {}, t("tuning.baseline")),
      baseline.length ? baseline.map((each) => baselineOf(each, this.session, sited, changed)) : h("p", { class: "hint" }, t("tuning.baseline.none")),
      h("h3", {}, t("tuning.decisions")),
      decisionList(decisions, sited),
    );
  }
}
