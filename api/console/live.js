// The live stream: alerts as they change, which incidents have changed, the sensors' health. The browser reconnects by itself and says what it had last.

import { Problem, get } from "./api.js";

/** How long after an answer those are asked again who have no stream: as often as their pages ask by themselves. */
const AGAIN_MILLISECONDS = 30_000;

/**
 * @typedef {{alert: (item: import("./api.js").AlertItem) => void, incidents: (numbers: number[]) => void, reload: () => void,
 *   sensors: (health: import("./sensors.js").Health) => void, state: (connected: boolean) => void, ended: () => void}} Listeners
 */

/**
 * Listen until the returned function is called.
 * @param {string} language
 * @param {Listeners} listeners
 * @returns {() => void}
 */
export function listen(language, listeners) {
  const source = new EventSource(`/api/live?language=${language}`);
  const data = (/** @type {Event} */ event) => JSON.parse(/** @type {MessageEvent<string>} */ (event).data);
  source.addEventListener("open", () => listeners.state(true));
  source.addEventListener("alert", (event) => listeners.alert(data(event)));
  source.addEventListener("incidents", (event) => listeners.incidents(data(event).numbers));
  source.addEventListener("reload", () => listeners.reload());
  source.addEventListener("sensors", (event) => listeners.sensors(data(event)));
  source.addEventListener("error", () => {
    listeners.state(false);
    // The browser gives up on an answer that is no stream, as when the session has ended.
    if (source.readyState === EventSource.CLOSED) listeners.ended();
  });
  return () => source.close();
}

/**
 * For those whom the stream is not for: look now and then whether they are signed in, until the returned function is called.
 * @param {Pick<Listeners, "state" | "ended">} listeners
 * @returns {() => void}
 */
export function visit(listeners) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let left = false;
  const look = async () => {
    try {
      await get("/api/session");
      if (!left) listeners.state(true);
    } catch (error) {
      if (left) return;
      listeners.state(false);
      if (error instanceof Problem && error.status === 401) return listeners.ended();
    }
    if (!left) timer = setTimeout(look, AGAIN_MILLISECONDS);
  };
  look();
  return () => {
    left = true;
    clearTimeout(timer);
  };
}
