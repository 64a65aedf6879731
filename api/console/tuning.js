// The page of what the site takes as normal: exceptions in force, the baseline and its proposals, decisions.

import { get, may } from "./api.js";
import { baselineOf, decisionList } from "./baseline.js";
import { fill, h, icon } from "./dom.js";
import { except, exceptionList } from "./exceptions.js";
import { redrawn } from "./tables.js";
import { t } from "./texts.js";

/** Place of the page, behind the address's #. */
export const TUNING = "/tuning";

/** How long after a live event is asked again, so that many at once are one question. */
const SETTLE_MILLISECONDS = 400;

export class Tuning {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.session = session;
    this.round = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.element = h("section", { class: "tuning", tabindex: -1, hidden: true, "aria-label": t("page.tuning") });
  }

  /** Show the page as things are now. */
  async open() {
    const round = ++this.round;
    clearTimeout(this.timer);
    this.element.hidden = false;
    if (!this.element.childElementCount) fill(this.element, h("p", { class: "loading" }, t("page.loading")));
    try {
      const [exceptions, baseline, decisions] = await Promise.all([get("/api/exceptions"), get("/api/baseline"), get("/api/baseline/decisions")]);
      if (round !== this.round) return;
      redrawn(this.element, () => this.draw(exceptions, baseline, decisions));
    } catch (error) {
      if (round !== this.round) return;
      fill(this.element, this.bar(), h("p", { class: "problem", role: "alert" }, error instanceof Error ? error.message : t("page.failed")));
    }
  }

  close() {
    this.round += 1;
    clearTimeout(this.timer);
    this.element.hidden = true;
    fill(this.element);
  }

  /** Some exception has changed: look again, soon; not under the hands of who answers a question. */
  changed() {
    if (this.element.hidden) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (document.querySelector("dialog") ? this.changed() : this.open()), SETTLE_MILLISECONDS);
  }

  bar() {
    return h("div", { class: "bar" }, h("a", { class: "button quiet", href: "#" }, icon("previous"), t("tuning.back")));
  }

  /**
   * @param {import("./exceptions.js").Exception[]} exceptions
   * @param {import("./baseline.js").Baseline[]} baseline
   * @param {import("./baseline.js").Decision[]} decisions
   */
  draw(exceptions, baseline, decisions) {
    const changed = () => this.open();
    fill(
      this.element,
      this.bar(),
      h("h2", {}, t("tuning.exceptions")),
      may(this.session, "exception.write") && h("div", { class: "actions" }, h("button", { type: "button", onclick: async () => (await except({})) && changed() }, t("tuning.new"))),
      exceptionList(exceptions, this.session, changed),
      h("h2", {}, t("tuning.baseline")),
      baseline.length ? baseline.map((each) => baselineOf(each, this.session, changed)) : h("p", { class: "hint" }, t("tuning.baseline.none")),
      h("h3", {}, t("tuning.decisions")),
      decisionList(decisions),
    );
  }
}
