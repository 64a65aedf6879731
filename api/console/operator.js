// The page of what the operator of a site is in the eyes of the law: which reports an incident asks for, and how soon, follows from it.

import { Again } from "./again.js";
import { Problem, call, get, may } from "./api.js";
import { ask } from "./dialog.js";
import { fill, h, icon } from "./dom.js";
import { check, choice, line, written } from "./forms.js";
import { INCIDENTS } from "./incidents.js";
import { redrawn } from "./tables.js";
import { t } from "./texts.js";

/** Place of the page, behind the address's #; that of one of several sites has its name behind it. */
export const OPERATOR = "/operator";

/** Place of the page of a site. @param {string} site */
export const operatorOf = (site) => `#${OPERATOR}/${encodeURIComponent(site)}`;

/** What holds of an operator that is subject to the Chinese rules. */
const CHINESE = /** @type {const} */ (["cii", "state_body", "served", "industrial"]);

const NIS2 = ["none", "essential", "important"];

/**
 * @typedef {{site: string, version: number, name: string, cii: boolean, data_processor: boolean, nis2: string, china: boolean, state_body: boolean, served: boolean, industrial: boolean,
 *   sector: string | null, sector_name: string | null, time_zone: string}} Operator
 * @typedef {{sectors: {key: string, name: string}[], sites: string[]}} Vocabulary
 */

export class OperatorPage {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.session = session;
    /** The site that is asked for; null: the only one, or the first. @type {string | null} */
    this.site = null;
    this.round = 0;
    this.again = new Again(() => this.open(this.site));
    this.choice = h("select", { id: "operator-site", onchange: () => this.choose() });
    this.chooser = h("span", { class: "chooser", hidden: true }, h("label", { for: "operator-site" }, t("field.site")), this.choice);
    this.problem = h("p", { class: "problem", role: "alert" });
    this.body = h("div", { class: "situation-body" });
    this.element = h(
      "section",
      { class: "situation incidents", tabindex: -1, hidden: true, "aria-label": t("page.operator") },
      h("div", { class: "bar" }, h("a", { class: "button quiet", href: `#${INCIDENTS}` }, icon("previous"), t("page.incidents")), this.chooser),
      h("h2", {}, t("page.operator")),
      this.problem,
      this.body,
    );
  }

  /**
   * Show what the operator of a site is, as things are now.
   * @param {string | null} site null: of the only one, or of the first
   */
  async open(site) {
    const round = ++this.round;
    this.again.begun();
    const fresh = this.element.hidden || this.site !== site;
    this.site = site;
    this.element.hidden = false;
    if (fresh) {
      fill(this.problem);
      fill(this.body, h("p", { class: "loading" }, t("page.loading")));
    }
    try {
      /** @type {Vocabulary} */
      const vocabulary = await get("/api/operator/vocabulary");
      const asked = site ?? vocabulary.sites[0];
      // The site without a name is one, too: it is asked for by an empty one.
      const { data, etag } = await call("GET", asked === undefined ? api : pathOf(asked));
      if (round !== this.round) return;
      this.drawSites(vocabulary.sites, data.site);
      redrawn(this.body, () => this.draw(data, etag, vocabulary));
      if (fresh) this.element.focus({ preventScroll: true });
    } catch (error) {
      if (round !== this.round) return;
      fill(this.body, h("p", { class: "problem", role: "alert" }, error instanceof Problem ? error.message : t("page.failed")));
    }
    this.again.answered();
    this.again.later();
  }

  /** Something may have changed: look again, soon. */
  changed() {
    if (!this.element.hidden) this.again.soon();
  }

  close() {
    this.round += 1;
    this.again.stop();
    this.element.hidden = true;
    fill(this.body);
  }

  /** Another site was chosen. */
  choose() {
    location.hash = operatorOf(this.choice.value);
  }

  /**
   * Do what a person asked for, and show what came of it.
   * @param {Promise<unknown>} asked
   */
  async act(asked) {
    fill(this.problem);
    try {
      // Who turned back may have seen that somebody else was first.
      await asked;
    } catch (error) {
      fill(this.problem, error instanceof Error ? error.message : String(error));
    }
    await this.open(this.site);
  }

  /**
   * The sites to choose from, where there are several.
   * @param {string[]} sites
   * @param {string} shown
   */
  drawSites(sites, shown) {
    const names = [...new Set([...sites, shown])].sort();
    this.chooser.hidden = names.length < 2;
    // What somebody is about to choose from is not drawn anew.
    if (names.join("\n") !== [...this.choice.options].map((each) => each.value).join("\n")) {
      fill(this.choice, names.map((name) => h("option", { value: name }, name || t("accounts.sites.unnamed"))));
    }
    this.choice.value = shown;
  }

  /**
   * @param {Operator} operator
   * @param {string | null} etag
   * @param {Vocabulary} vocabulary
   */
  draw(operator, etag, vocabulary) {
    const fact = (/** @type {string} */ key, /** @type {string} */ value) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value));
    const yes = (/** @type {"cii" | "state_body" | "served" | "industrial" | "china" | "data_processor"} */ name) => fact(`operator.${name}`, t(operator[name] ? "grade.yes" : "grade.no"));
    const said = operator.version > 0;
    fill(
      this.body,
      h("p", { class: "hint" }, t("operator.hint")),
      !said && h("p", { class: "standing standing-noticed", role: "status" }, t("operator.unsaid")),
      h(
        "dl",
        { class: "facts" },
        fact("field.site", operator.site || t("accounts.sites.unnamed")),
        fact("operator.name", said ? operator.name : "–"),
        fact("operator.sector", operator.sector_name ?? t("operator.sector.none")),
        yes("china"),
        // Where it is not subject to these rules, none of this counts.
        operator.china && CHINESE.map(yes),
        yes("data_processor"),
        fact("operator.nis2", t(`operator.nis2.${operator.nis2}`)),
        fact("operator.time_zone", operator.time_zone),
      ),
      may(this.session, "operator.write") &&
        h("div", { class: "actions" }, h("button", { type: "button", class: said ? "" : "primary", onclick: () => this.act(say(operator, etag, vocabulary)) }, t("operator.say"))),
    );
  }
}

const api = "/api/operator";

/** @param {string} site */
const pathOf = (site) => `${api}?${new URLSearchParams({ site })}`;

/**
 * Say what the operator of a site is.
 * @param {Operator} operator as it was shown
 * @param {string | null} etag of that
 * @param {Vocabulary} vocabulary
 */
function say(operator, etag, vocabulary) {
  const is = (/** @type {"cii" | "state_body" | "served" | "industrial" | "china" | "data_processor"} */ name) => check(name, `operator.${name}`, operator[name]);
  const zones = h("datalist", { id: "operator-zones" }, Intl.supportedValuesOf("timeZone").map((each) => h("option", { value: each })));
  return ask({
    title: operator.site ? `${t("operator.say")}: ${operator.site}` : t("operator.say"),
    hint: t("operator.say.hint"),
    wide: true,
    fields: [
      line("name", "operator.name", { value: operator.version ? operator.name : "", required: true }, "operator.name.hint"),
      choice("sector", "operator.sector", [["", t("operator.sector.none")], ...vocabulary.sectors.map((each) => /** @type {const} */ ([each.key, each.name]))], {
        value: operator.sector,
        hint: "operator.sector.hint",
      }),
      h("fieldset", {}, h("legend", {}, t("operator.rules.china")), is("china"), h("p", { class: "hint" }, t("operator.china.hint")), CHINESE.map(is)),
      h("fieldset", {}, h("legend", {}, t("operator.rules.others")), is("data_processor"), choice("nis2", "operator.nis2", NIS2.map((each) => /** @type {const} */ ([each, t(`operator.nis2.${each}`)])), { value: operator.nis2 })),
      line("time_zone", "operator.time_zone", { value: operator.time_zone, required: true, maxlength: 64, list: zones.id }, "operator.time_zone.hint"),
      zones,
    ],
    confirm: t("operator.say.confirm"),
    send: (values) => {
      const held = (/** @type {string} */ name) => values.get(name) !== null;
      const body = {
        name: String(values.get("name")),
        sector: written(values.get("sector")),
        china: held("china"),
        ...Object.fromEntries(CHINESE.map((each) => [each, held(each)])),
        data_processor: held("data_processor"),
        nis2: String(values.get("nis2")),
        time_zone: String(values.get("time_zone")),
      };
      return call("PUT", pathOf(operator.site), { body, etag });
    },
  });
}
