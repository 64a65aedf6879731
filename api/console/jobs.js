// A decision about many alerts on its way: how far it is, what came of each, and how it is stopped and taken back.

import { Problem, call, get, may } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { number, t } from "./texts.js";

/** How long after an answer it is asked again how far a job is. */
const AGAIN_MILLISECONDS = 1000;

/** Alerts of a job on a page. */
const PAGE = "50";

/** Where the last job is remembered that the person has put away. */
const PUT_AWAY = "icsight.job";

const ENDED = ["done", "stopped", "failed"];

/**
 * @typedef {{number: number, action: string, dry_run: boolean, state: string, by: string, done: number, refused: number, undoes: number | null,
 *   undone_by: number | null, undo_until: string | null}} Job
 */

/** Whether a job is at its end. @param {Job} job */
export const isEnded = (job) => ENDED.includes(job.state);

/** How a result of a job is called. @param {string} result `done`, or the code of a problem */
const named = (result) => t(result === "done" ? "jobs.done" : `problem.${result}.title`);

/**
 * Wait until a job is at its end.
 * @param {Job} job
 * @param {() => boolean} left whether nobody waits any more
 */
export async function ended(job, left) {
  let found = job;
  while (!isEnded(found) && !left()) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MILLISECONDS));
    found = await get(`/api/jobs/${job.number}`);
  }
  return found;
}

/**
 * What came of each alert of a job, in pages.
 * @param {Job} job
 */
export function results(job) {
  const list = h("ul", { class: "lines" });
  const foot = h("div", {});
  const more = async (/** @type {string} */ cursor) => {
    try {
      const page = await get(`/api/jobs/${job.number}/items`, { limit: PAGE, cursor });
      list.append(
        ...page.items.map((/** @type {{id: string, result: string}} */ each) =>
          h("li", {}, h("a", { href: `#${encodeURIComponent(each.id)}` }, h("code", {}, each.id)), " ", h("span", { class: each.result === "done" ? "quiet-text" : "problem" }, named(each.result))),
        ),
      );
      fill(foot, page.next && h("button", { type: "button", class: "quiet small", onclick: () => more(page.next) }, t("page.more")));
    } catch (error) {
      fill(foot, h("p", { class: "problem", role: "alert" }, error instanceof Problem ? error.message : t("page.failed")));
    }
  };
  const opened = (/** @type {Event} */ event) => {
    if (!(/** @type {HTMLDetailsElement} */ (event.currentTarget).open)) return;
    fill(list);
    more("");
  };
  return h("details", { ontoggle: opened }, h("summary", {}, t("jobs.each")), list, foot);
}

export class JobPanel {
  /** @param {import("./api.js").Session} session */
  constructor(session) {
    this.session = session;
    /** The job that is followed. @type {Job | null} */
    this.job = null;
    this.said = h("p", { role: "status" });
    this.buttons = h("div", { class: "actions" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.items = h("div", {});
    this.element = h("section", { class: "job", hidden: true, "aria-label": t("jobs.label") }, h("div", { class: "job-head" }, this.said, this.buttons), this.problem, this.items);
  }

  /** Go on with the last job of the person, where it is at work or can be taken back. */
  async begin() {
    if (!may(this.session, "alert.decide")) return;
    const { items } = await get("/api/jobs", { limit: "10" }).catch(() => ({ items: [] }));
    const last = items.find((/** @type {Job} */ job) => job.by === this.session.name && !job.dry_run);
    if (last && localStorage.getItem(PUT_AWAY) !== String(last.number) && (!isEnded(last) || last.undo_until)) this.follow(last);
  }

  /** Show a job until it is at its end, and then what came of it. @param {Job} job */
  async follow(job) {
    this.job = job;
    this.element.hidden = false;
    fill(this.problem);
    fill(this.items, results(job));
    try {
      while (this.job?.number === job.number) {
        this.draw(this.job);
        if (isEnded(this.job)) return;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MILLISECONDS));
        const now = await get(`/api/jobs/${job.number}`);
        if (this.job?.number !== job.number || !this.element.isConnected) return;
        this.job = now;
      }
    } catch (error) {
      fill(this.problem, error instanceof Problem ? error.message : t("page.failed"));
    }
  }

  /** @param {Job} job */
  draw(job) {
    const focused = this.buttons.contains(document.activeElement);
    this.said.textContent = t("jobs.said", { action: t(`jobs.action.${job.action}`), state: t(`jobs.state.${job.state}`), done: number(job.done), refused: number(job.refused) });
    const button = (/** @type {string} */ step) => h("button", { type: "button", class: "small", onclick: () => this.act(job, step) }, t(`jobs.${step}`));
    fill(
      this.buttons,
      isEnded(job) ? job.undo_until && job.done > 0 && button("undo") : button("stop"),
      isEnded(job) && h("button", { type: "button", class: "quiet square", "aria-label": t("jobs.put_away"), title: t("jobs.put_away"), onclick: () => this.putAway(job) }, icon("close")),
    );
    if (focused) this.buttons.querySelector("button")?.focus();
  }

  /**
   * Stop a job, or take it back.
   * @param {Job} job
   * @param {string} step
   */
  async act(job, step) {
    fill(this.problem);
    try {
      const { etag } = await call("GET", `/api/jobs/${job.number}`);
      const { data } = await call("POST", `/api/jobs/${job.number}/${step}`, { etag });
      if (data.number !== job.number) return this.follow(data);
      this.job = data;
      this.draw(data);
    } catch (error) {
      fill(this.problem, error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {Job} job */
  putAway(job) {
    localStorage.setItem(PUT_AWAY, String(job.number));
    this.job = null;
    this.element.hidden = true;
  }
}
