// The live stream: alerts as they change, which incidents and what else has changed, the sensors' health. The browser reconnects by itself and says what it had last.

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
  const source = new EventSource(`/api/live?language=${language}`);
  const data = (/** @type {Event} */ event) => JSON.parse(/** @type {MessageEvent<string>} */ (event).data);
  source.addEventListener("open", () => listeners.state(true));
  source.addEventListener("alert", (event) => listeners.alert(data(event)));
  source.addEventListener("incidents", (event) => listeners.incidents(data(event).numbers));
  source.addEventListener("changed", (event) => listeners.others(data(event)));
  source.addEventListener("reload", () => listeners.reload());
  source.addEventListener("sensors", (event) => listeners.sensors(data(event)));
  source.addEventListener("error", () => {
    listeners.state(false);
    // The browser gives up on an answer that is no stream, as when the session has ended.
    if (source.readyState === EventSource.CLOSED) listeners.ended();
  });
  return () => source.close();
}
