// The evidence of an incident: taken, checked, handed on, and given out as a package that others verify.

import { call, get, may, save, upload } from "./api.js";
import { ask, labelled } from "./dialog.js";
import { fill, h } from "./dom.js";
import { check, choice, line, lines, reason } from "./forms.js";
import { number, t, time } from "./texts.js";

/** @typedef {{id: number, incident: number, kind: string, name: string, size: number, sha256: string, sm3: string, taken_at: string, taken_by: string}} Piece */

/**
 * @param {import("./incident.js").Incident} incident
 * @param {Piece[]} pieces
 * @param {import("./incident.js").Surroundings} surroundings
 */
export function evidenceOf(incident, pieces, { session, changed }) {
  const takes = may(session, "evidence.write") && incident.merged_into === null;
  const button = (/** @type {string} */ key, /** @type {() => Promise<unknown>} */ action) => h("button", { type: "button", class: "quiet", onclick: () => changed(action()) }, t(key));
  return [
    pieces.length ? h("ul", { class: "sheets" }, pieces.map((each) => h("li", {}, pieceOf(incident, each, takes, changed)))) : h("p", { class: "hint" }, t("evidence.none")),
    takes &&
      h(
        "div",
        { class: "actions" },
        button("evidence.take", () => take(incident)),
        may(session, "packets.read") && incident.alerts.length > 0 && button("evidence.packets", () => packets(incident)),
        button("evidence.snapshot", () => snapshot(incident, may(session, "records.read"))),
        pieces.length > 0 && button("evidence.package", () => give(incident)),
      ),
  ];
}

/**
 * @param {import("./incident.js").Incident} incident
 * @param {Piece} piece
 * @param {boolean} takes
 * @param {import("./incident.js").Surroundings["changed"]} changed
 */
function pieceOf(incident, piece, takes, changed) {
  const path = `/api/incidents/${incident.number}/evidence/${piece.id}`;
  const told = h("p", { class: "hint", role: "status" });
  const hands = h("ol", { class: "lines" });
  const verify = async () => {
    try {
      const found = await get(`${path}/verification`);
      const said = t(found.intact ? "evidence.intact" : "evidence.broken", { file: t(`evidence.file.${found.file}`), entries: number(found.entries), first: found.first_broken ?? "–" });
      fill(told, said, found.trail === "intact" ? "" : ` ${t(`evidence.trail.${found.trail}`)}`);
    } catch (error) {
      fill(told, error instanceof Error ? error.message : t("page.failed"));
    }
  };
  const custody = async () => {
    const found = await get(`${path}/custody`, { limit: "500" });
    fill(hands, found.items.map((/** @type {{giver: string, receiver: string, reason: string, at: string}} */ each) => h("li", {}, t("evidence.hand", each), " ", time(each.at))));
  };
  return h(
    "article",
    { class: "sheet", "data-key": `piece-${piece.id}`, "aria-label": piece.name },
    h("header", {}, h("strong", {}, piece.name), h("span", { class: "quiet-text" }, `${t(`evidence.kind.${piece.kind}`)} · ${t("evidence.size", { size: number(piece.size) })}`)),
    h("p", { class: "quiet-text" }, t("evidence.taken", { name: piece.taken_by }), " ", time(piece.taken_at)),
    h("p", { class: "hashes" }, h("code", {}, `SHA-256 ${piece.sha256}`), " ", h("code", {}, `SM3 ${piece.sm3}`)),
    told,
    h(
      "details",
      { "data-key": `custody-${piece.id}`, ontoggle: (/** @type {Event} */ event) => /** @type {HTMLDetailsElement} */ (event.currentTarget).open && custody().catch(() => fill(hands, t("page.failed"))) },
      h("summary", {}, t("evidence.custody")),
      hands,
    ),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "small", onclick: verify }, t("evidence.verify")),
      h("a", { class: "button small", href: `${path}/content`, target: "_blank", rel: "noreferrer" }, t("evidence.download")),
      takes && h("button", { type: "button", class: "quiet small", onclick: () => changed(handOn(path, piece)) }, t("evidence.hand_on")),
    ),
  );
}

/** @param {import("./incident.js").Incident} incident */
function take(incident) {
  const file = h("input", { id: "ask-file", name: "file", type: "file", required: true });
  return ask({
    title: t("evidence.take"),
    hint: t("evidence.take.hint"),
    fields: [labelled(t("evidence.file"), file), line("giver", "evidence.giver", { required: true }), reason()],
    confirm: t("evidence.take.confirm"),
    send: (values) => {
      const chosen = file.files?.[0];
      if (!chosen) throw new Error(t("evidence.take.hint"));
      return upload(`/api/incidents/${incident.number}/evidence`, { name: chosen.name, reason: String(values.get("reason")), giver: String(values.get("giver")) }, chosen);
    },
  });
}

/** @param {import("./incident.js").Incident} incident */
async function packets(incident) {
  const known = await Promise.all(incident.alerts.slice(0, 100).map((id) => get(`/api/alerts/${encodeURIComponent(id)}`)));
  const options = known.map((/** @type {import("./api.js").AlertItem} */ each) => /** @type {const} */ ([each.id, `${each.title} (${each["client.ip"] ?? "–"} → ${each["server.ip"] ?? "–"})`]));
  return ask({
    title: t("evidence.packets"),
    fields: [choice("alert", "evidence.alert", options, { required: true }), check("mask_values", "evidence.mask"), reason()],
    confirm: t("evidence.take.confirm"),
    send: (values) => {
      const body = { alert: String(values.get("alert")), mask_values: values.get("mask_values") !== null, reason: String(values.get("reason")) };
      return call("POST", `/api/incidents/${incident.number}/evidence/packets`, { body });
    },
  });
}

/**
 * @param {import("./incident.js").Incident} incident
 * @param {boolean} records whether the account may see them
 */
function snapshot(incident, records) {
  const contents = ["timeline", "alerts", ...(records ? ["records"] : [])];
  return ask({
    title: t("evidence.snapshot"),
    hint: t("evidence.snapshot.hint"),
    fields: [reason()],
    confirm: t("evidence.take.confirm"),
    send: (values) => call("POST", `/api/incidents/${incident.number}/evidence/snapshot`, { body: { contents, reason: String(values.get("reason")) } }),
  });
}

/**
 * @param {string} path
 * @param {Piece} piece
 */
function handOn(path, piece) {
  return ask({
    title: `${t("evidence.hand_on")}: ${piece.name}`,
    fields: [line("giver", "evidence.giver", { required: true }), line("receiver", "evidence.receiver", { required: true }), reason()],
    confirm: t("evidence.hand_on"),
    send: (values) =>
      call("POST", `${path}/custody`, { body: { giver: String(values.get("giver")), receiver: String(values.get("receiver")), reason: String(values.get("reason")) } }),
  });
}

/** @param {import("./incident.js").Incident} incident */
function give(incident) {
  return ask({
    title: t("evidence.package"),
    hint: t("evidence.package.hint"),
    fields: [line("receiver", "evidence.receiver", { required: true }), lines("reason", "action.reason", { rows: 2, required: true })],
    confirm: t("evidence.package"),
    send: (values) => save(`/api/incidents/${incident.number}/evidence/package`, { receiver: String(values.get("receiver")), reason: String(values.get("reason")) }, `evidence-${incident.number}.zip`),
  });
}
