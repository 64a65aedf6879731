// The live stream: alerts as they change, which incidents and what else has changed, the sensors' health. The browser reconnects by itself and says what it had last.

import { Problem, get } from "./api.js";

/** How long after an answer that is no stream it is tried again; twice as long each time, up to the longest. */
const PAUSE_MILLISECONDS = 2_000;
const LONGEST_MILLISECONDS = 60_000;

/**
 * What else has changed: identifiers, by kind.
 * @typedef {Partial<Record<"windows" | "exceptions" | "handovers" | "jobs", string[]>>} Others
 */

/**
 * @typedef {{alert: (item: import("./api.js").AlertItem) => void, incidents: (numbers: number[]) => void, others: (changed: Others) => void, reload: () => void,
 *   sensors: (health: import("./sensors.js").Health) => void, state: (connected: boolean) => void, ended: () => void}} Listeners
 */

/**
 * Listen until the returned function is called.
 * @param {string} language
 * @param {Listeners} listeners
 * @returns {() => void}
 */
export function listen(language, listeners) {
  const data = (/** @type {Event} */ event) => JSON.parse(/** @type {MessageEvent<string>} */ (event).data);
  let left = false;
  let pause = PAUSE_MILLISECONDS;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const begin = () => {
    const source = new EventSource(`/api/live?language=${language}`);
    let greeted = false;
    source.addEventListener("open", () => listeners.state(true));
    source.addEventListener("hello", () => {
      // It tells what changes from now on: what is shown may have been asked for before.
      if (!greeted) listeners.reload();
      greeted = true;
      pause = PAUSE_MILLISECONDS;
    });
    source.addEventListener("alert", (event) => listeners.alert(data(event)));
    source.addEventListener("incidents", (event) => listeners.incidents(data(event).numbers));
    source.addEventListener("changed", (event) => listeners.others(data(event)));
    source.addEventListener("reload", () => listeners.reload());
    source.addEventListener("sensors", (event) => listeners.sensors(data(event)));
    source.addEventListener("error", () => {
      listeners.state(false);
      // The browser gives up on an answer that is no stream, as when the session has ended, or too many listen.
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(again, pause);
    });
    return source;
  };
  const again = async () => {
    const ended = await get("/api/session").then(() => false, (error) => error instanceof Problem && error.status === 401);
    if (left) return;
    if (ended) return listeners.ended();
    pause = Math.min(2 * pause, LONGEST_MILLISECONDS);
    source = begin();
  };
  let source = begin();
  return () => {
    left = true;
    clearTimeout(timer);
    source.close();
  };
}
