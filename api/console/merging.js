// Alerts that tell others: merged by people, taken out again, and both taken back.

import { call, get, may } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { lines } from "./forms.js";
import { number, t, time } from "./texts.js";

/** Open alerts that are offered to be merged, and the most that are merged at once. */
const OFFERED = "50";

/**
 * @typedef {import("./api.js").Alert} Alert
 * @typedef {import("./api.js").AlertItem} AlertItem
 * @typedef {{number: number, kind: string, alert: string, parts: string[], note: string, by: string, at: string, undone_by: string | null, undone_at: string | null}} Merge
 */

/** @param {string} id of an alert */
const pathOf = (id) => `/api/alerts/${encodeURIComponent(id)}`;

/** The open alerts that an alert could tell: of its client or server, or of its rule, at its site. @param {Alert} alert */
async function offered(alert) {
  const addresses = [alert["client.ip"], alert["server.ip"]].filter((each) => each !== null).join(",");
  const asked = { state: "new,triaging", site: alert.site, limit: OFFERED };
  const pages = await Promise.all([addresses && get("/api/alerts", { ...asked, ip: addresses }), get("/api/alerts", { ...asked, rule: alert.rule })]);
  /** @type {AlertItem[]} */
  const found = pages.flatMap((page) => (page ? page.items : []));
  return [...new Map(found.filter((each) => each.id !== alert.id && each.site === alert.site).map((each) => [each.id, each])).values()].slice(0, Number(OFFERED));
}

/**
 * Ask which others an alert is to tell, and merge them. Answers the alert as it then is, or null where the person turned back.
 * @param {Alert} alert
 * @param {string | null} etag
 * @returns {Promise<AlertItem | null>}
 */
export async function merge(alert, etag) {
  const found = await offered(alert);
  const box = (/** @type {AlertItem} */ each) =>
    h(
      "label",
      { class: "radio" },
      h("input", { type: "checkbox", name: "alert", value: each.id }),
      h("span", {}, h("span", { class: `pill sev-${each.severity}` }, t(`severity.${each.severity}`)), ` ${each.title} `, h("span", { class: "quiet-text" }, each.summary, " ", time(each.last_seen))),
    );
  return ask({
    title: t("action.merge"),
    hint: t("action.merge.hint"),
    wide: true,
    fields: [
      h("fieldset", { class: "boxes" }, h("legend", {}, t("action.merge.which")), found.length ? found.map(box) : h("p", { class: "hint" }, t("action.merge.none"))),
      lines("note", "action.reason", { rows: 2, required: true }),
    ],
    confirm: t("action.merge"),
    send: async (values) => {
      const chosen = new Set(values.getAll("alert"));
      if (!chosen.size) throw new Error(t("action.merge.choose"));
      const alerts = found.filter((each) => chosen.has(each.id)).map((each) => ({ id: each.id, version: each.triage.version }));
      return (await call("POST", `${pathOf(alert.id)}/merge`, { body: { alerts, note: String(values.get("note")) }, etag })).data;
    },
  });
}

/**
 * What people merged into an alert; each can be taken out again.
 * @param {Alert} alert
 * @param {import("./api.js").Session} session
 * @param {(asked: Promise<unknown>) => void} act does what was asked for, and shows what came of it
 */
export function merged(alert, session, act) {
  const out = async (/** @type {Alert["merged"][number]} */ part) => {
    const { etag } = await call("GET", pathOf(part.id));
    return ask({
      title: t("action.detach"),
      hint: part.title,
      fields: [lines("note", "action.reason", { rows: 2, required: true })],
      confirm: t("action.detach"),
      send: (values) => call("POST", `${pathOf(part.id)}/detach`, { body: { note: String(values.get("note")) }, etag }),
    });
  };
  return h(
    "ul",
    { class: "related" },
    alert.merged.map((each) =>
      h(
        "li",
        {},
        h("span", { class: `pill sev-${each.severity}` }, t(`severity.${each.severity}`)),
        " ",
        h("a", { href: `#${encodeURIComponent(each.id)}` }, each.title),
        " ",
        may(session, "alert.decide") && h("button", { type: "button", class: "quiet small", onclick: () => act(out(each)) }, t("action.detach")),
      ),
    ),
  );
}

/**
 * What was merged and detached, the latest first; each can be taken back.
 * @param {Merge[]} found
 * @param {Alert} alert that is shown
 * @param {string | null} etag
 * @param {import("./api.js").Session} session
 * @param {(asked: Promise<unknown>) => void} act as of `merged`
 */
export function merges(found, alert, etag, session, act) {
  const undo = (/** @type {Merge} */ each) =>
    ask({
      title: t("merges.undo"),
      hint: each.note,
      fields: [],
      confirm: t("merges.undo"),
      send: () => call("POST", `${pathOf(alert.id)}/merges/${each.number}/undo`, { etag }),
    });
  const item = (/** @type {Merge} */ each) =>
    h(
      "li",
      {},
      t(`merges.${each.kind}`, { count: number(each.parts.length) }),
      " ",
      h("span", { class: "quiet-text" }, `${each.by} · ${each.note} `, time(each.at)),
      " ",
      each.undone_by
        ? h("span", { class: "quiet-text" }, t("merges.undone", { name: each.undone_by }))
        : may(session, "alert.decide") && h("button", { type: "button", class: "quiet small", onclick: () => act(undo(each)) }, t("merges.undo")),
    );
  return h("ul", { class: "lines" }, found.map(item));
}
