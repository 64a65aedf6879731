// What is known around an alert: both ends, process points, who else did the same, what was before.

import { h } from "./dom.js";
import { INCIDENTS } from "./incidents.js";
import { number, t, time } from "./texts.js";

/**
 * What is known around an alert, in a few lines.
 * @param {import("./api.js").Context} found
 */
export function around(found) {
  const line = (/** @type {string} */ key, /** @type {(Node | string | null)[]} */ ...content) => h("li", {}, h("strong", {}, t(`context.${key}`)), " ", content);
  const named = (/** @type {(string | null)[]} */ ...parts) => parts.filter(Boolean).join(" · ");
  return h(
    "ul",
    {},
    found.effects.map((each) => line(each.seen ? "effect.seen" : "effect", named(each.text, each.techniques.join(", "), each.written.join(", ")))),
    found.ends.map((end) =>
      line(
        end.side,
        named(end.address, end.asset?.name ?? t("context.unregistered"), end.asset && t(`criticality.${end.asset.criticality}`), end.asset?.owner ?? null, end.zone, end.level && `L${end.level}`),
      ),
    ),
    found.points.map((point) => line("point", named(point.point, String(point.latest ?? "–"), point.expected && `${point.expected.least}…${point.expected.greatest}`, point.outside ? t("context.outside") : null))),
    found.operations.map((each) => line(each.own ? "same.own" : "same", named(each.client, each.name, each.operation, `× ${number(each.records)}`), " ", time(each.last))),
    found.earlier.map((each) => line("earlier", h("a", { href: `#${encodeURIComponent(each.id)}` }, each.title), each.disposition ? ` · ${t(`disposition.${each.disposition}`)}` : null, " ", time(each.first_seen))),
    found.incidents.map((each) => line("incident", h("a", { href: `#${INCIDENTS}/${each.number}` }, `#${each.number} ${each.title}`))),
    found.missing.map((each) => h("li", { class: "hint" }, `${t(`context.missing.${each.part}`)}: ${each.reason}`)),
  );
}
