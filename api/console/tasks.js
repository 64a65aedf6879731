// The tasks of an incident: playbooks that fit and are begun, who does what by when, and what came of it.

import { call, get, may } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { at, check, choice, kept, line, lines, moment, reason, written } from "./forms.js";
import { PHASES } from "./moves.js";
import { number, t, time } from "./texts.js";

/**
 * @typedef {{id: number, incident: number, version: number, playbook: string | null, title: string, text: string, phase: string, role: string, mandatory: boolean, state: string, owner: string | null,
 *   due_at: string | null, overdue: boolean, done_by: string | null, done_at: string | null, note: string | null}} Task
 * @typedef {{key: string, title: string, summary: string, tasks: number, mandatory: number, score: number, begun: boolean}} Playbook
 */

/** Where a task goes from each state, the usual way first. @type {Record<string, string[]>} */
const MOVES = { open: ["doing", "done", "left_out"], doing: ["done", "left_out"], done: ["open"], left_out: ["open"] };

const DOERS = ["operator", "responder", "engineer"];

/**
 * @param {import("./incident.js").Incident} incident
 * @param {Task[]} tasks
 * @param {Playbook[]} playbooks
 * @param {import("./incident.js").Surroundings} surroundings
 */
export function tasksOf(incident, tasks, playbooks, surroundings) {
  const { session, changed } = surroundings;
  const works = may(session, "incident.work") && incident.state !== "closed";
  const here = tasks.filter((each) => each.phase !== "closed");
  const done = here.filter((each) => each.state === "done").length;
  return [
    here.length > 0 && h("p", { class: "quiet-text" }, t("task.count", { done: number(done), count: number(here.length), mandatory: number(here.filter((each) => each.mandatory && each.state !== "done").length) })),
    here.length ? h("ul", { class: "sheets" }, here.map((each) => h("li", {}, taskOf(each, works, surroundings)))) : h("p", { class: "hint" }, t("task.none")),
    works &&
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", class: here.length ? "" : "primary", onclick: () => changed(begin(incident, here, playbooks)) }, t("playbook.begin")),
        h("button", { type: "button", class: "quiet", onclick: () => changed(add(incident)) }, t("task.add")),
      ),
  ];
}

/** The tasks that stand against closing an incident, by name. @param {Task[]} tasks */
export const undoneTasks = (tasks) => tasks.filter((each) => each.mandatory && each.state !== "done").map((each) => each.title);

/**
 * One task; a lesson of a review is one too.
 * @param {Task} task
 * @param {boolean} works whether the account may do it now
 * @param {import("./incident.js").Surroundings} surroundings
 */
export function taskOf(task, works, { session, changed }) {
  const undone = task.state === "open" || task.state === "doing";
  const move = (/** @type {string} */ to, /** @type {number} */ place) =>
    h("button", { type: "button", class: place || to === "open" ? "quiet small" : "small", onclick: () => changed(moved(task, to)) }, t(`task.move.${to}`));
  return h(
    "article",
    { class: `sheet ${undone ? "" : "done"}`, "data-key": `task-${task.id}`, "aria-label": task.title },
    h(
      "header",
      {},
      h("span", { class: `state ${STATE_LOOKS[task.state] ?? ""}` }, t(`task.state.${task.state}`)),
      h("strong", {}, task.title),
      task.mandatory && h("span", { class: "pill" }, t("task.mandatory")),
    ),
    task.text && h("p", {}, task.text),
    h(
      "p",
      { class: "quiet-text" },
      t("task.for", { role: t(`role.${task.role}`), owner: task.owner ?? t("task.nobody") }),
      task.due_at && h("span", {}, " · ", task.overdue ? h("strong", { class: "verdict-over" }, t("task.overdue")) : t("task.due"), " ", time(task.due_at)),
      task.playbook && ` · ${task.playbook}`,
    ),
    task.note && h("p", { class: "note" }, task.note, h("span", { class: "quiet-text" }, ` ${task.done_by ?? ""} `, task.done_at && time(task.done_at))),
    works &&
      h(
        "div",
        { class: "actions" },
        (MOVES[task.state] ?? []).map(move),
        undone && h("button", { type: "button", class: "quiet small", onclick: () => changed(assign(task, session.name)) }, t("task.assign")),
      ),
  );
}

/** How the state of a task looks: as that of an alert does. @type {Record<string, string>} */
const STATE_LOOKS = { open: "new", doing: "triaging", done: "closed", left_out: "closed" };

/**
 * @param {Task} task
 * @param {string} to
 */
function moved(task, to) {
  return ask({
    title: `${t(`task.move.${to}`)}: ${task.title}`,
    hint: to === "left_out" && task.mandatory ? t("task.left_out.mandatory") : "",
    fields: [lines("note", "action.acknowledge.note", { rows: 2, required: true })],
    confirm: t(`task.move.${to}`),
    send: (values) => call("POST", `/api/tasks/${task.id}/move`, { body: { to, note: String(values.get("note")) }, etag: `"${task.version}"` }),
  });
}

/**
 * @param {Task} task
 * @param {string} me
 */
async function assign(task, me) {
  const names = await owners(task.incident);
  return ask({
    title: `${t("task.assign")}: ${task.title}`,
    fields: [
      ownerOf(names, { value: names.includes(task.owner ?? "") ? task.owner : me, required: task.phase === "closed" }),
      at("due_at", "task.due", { value: task.due_at, required: task.phase === "closed" }),
    ],
    confirm: t("task.assign"),
    send: (values) => {
      const body = { owner: written(values.get("owner")), due_at: kept(values.get("due_at"), task.due_at) };
      return call("PUT", `/api/tasks/${task.id}/assignment`, { body, etag: `"${task.version}"` });
    },
  });
}

/**
 * Begin a playbook: those that fit are offered first.
 * @param {import("./incident.js").Incident} incident
 * @param {Task[]} tasks
 * @param {Playbook[]} fit
 */
async function begin(incident, tasks, fit) {
  const begun = new Set(tasks.map((each) => each.playbook));
  const fits = new Set(fit.map((each) => each.key));
  /** @type {Playbook[]} */
  const every = await get("/api/playbooks");
  const options = (/** @type {Playbook[]} */ some) =>
    some.filter((each) => !begun.has(each.key)).map((each) => h("option", { value: each.key }, t("playbook.option", { title: each.title, tasks: number(each.tasks), mandatory: number(each.mandatory) })));
  const groups = [h("optgroup", { label: t("playbook.fit") }, options(fit)), h("optgroup", { label: t("playbook.other") }, options(every.filter((each) => !fits.has(each.key))))];
  return ask({
    title: t("playbook.begin"),
    hint: t("playbook.hint"),
    fields: [choice("playbook", "playbook.which", groups.filter((each) => each.childElementCount), { required: true }), reason()],
    confirm: t("playbook.begin"),
    send: (values) => call("POST", `/api/incidents/${incident.number}/playbooks`, { body: { playbook: String(values.get("playbook")), reason: String(values.get("reason")) } }),
  });
}

/**
 * The accounts that tasks and lessons of an incident can be given to.
 * @param {number} incident
 * @returns {Promise<string[]>}
 */
export const owners = (incident) => get(`/api/incidents/${incident}/assignees`);

/**
 * Who does a task, of those who may; nobody is one of them where somebody need not be.
 * @param {string[]} names
 * @param {{value?: string | null, required?: boolean}} [more]
 */
export const ownerOf = (names, more = {}) => choice("owner", "task.owner", [["", more.required ? "–" : t("task.nobody")], ...names.map((each) => /** @type {const} */ ([each, each]))], more);

/** @param {import("./incident.js").Incident} incident */
async function add(incident) {
  const names = await owners(incident.number);
  return ask({
    title: t("task.add"),
    fields: [
      line("title", "field.title", { required: true }),
      lines("text", "task.text", { maxlength: 10_000 }),
      choice("phase", "field.state", PHASES.slice(0, -1).map((each) => /** @type {const} */ ([each, t(`incident.state.${each}`)])), { value: incident.state }),
      choice("role", "task.role", DOERS.map((each) => /** @type {const} */ ([each, t(`role.${each}`)]))),
      ownerOf(names),
      at("due_at", "task.due"),
      check("mandatory", "task.mandatory.hint"),
    ],
    confirm: t("task.add"),
    send: (values) => {
      const body = {
        title: String(values.get("title")),
        text: String(values.get("text")),
        phase: String(values.get("phase")),
        role: String(values.get("role")),
        owner: written(values.get("owner")),
        due_at: moment(values.get("due_at")),
        mandatory: values.get("mandatory") !== null,
      };
      return call("POST", `/api/incidents/${incident.number}/tasks`, { body });
    },
  });
}
