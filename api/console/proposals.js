// Exceptions that could be made for an alert that was false.

import { h } from "./dom.js";
import { except } from "./exceptions.js";
import { number, t } from "./texts.js";

/**
 * Exceptions that could be made, narrowest first; each can be put in force.
 * @param {import("./api.js").Proposal[]} found
 * @param {import("./api.js").AlertItem} alert the alert that they are for
 */
export function proposals(found, alert) {
  if (!found.length) return h("p", { class: "hint" }, t("detail.proposals.none"));
  const list = (/** @type {string} */ key, /** @type {string[]} */ values) => (values.length ? `  ${key}: [${values.join(", ")}]\n` : "");
  const target = (/** @type {import("./api.js").Proposal} */ each) => Object.entries(each.target).map(([name, value]) => `${name}: "${value}"`).join(", ");
  return found.map((each) =>
    h(
      "details",
      { "data-key": `proposal ${each.name}` },
      h("summary", {}, t("detail.proposals.hides", { count: number(each.hides), undecided: number(each.undecided) })),
      h(
        "pre",
        {},
        `- name: ${each.name}\n${list("rules", each.rules)}${list("clients", each.clients)}${list("servers", each.servers)}`,
        target(each) ? `  target: {${target(each)}}\n` : "",
        each.end ? `  end: ${each.end}\n` : "",
      ),
      h("button", { type: "button", onclick: () => except(each, { site: alert.site, alert: alert.id }) }, t("detail.proposals.put")),
    ),
  );
}
