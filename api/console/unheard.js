// What is said of sensors: which are not heard, and since when; which are behind or lost batches; and where that is not known.

import { t, time } from "./texts.js";

/**
 * @typedef {{sensor: string, reason: string, since: string | null}} Unheard
 */

/**
 * Lines about sensors, in the viewer's language and zone. Notes of before tell nothing of who was not heard.
 * @param {{unheard?: Unheard[], silent: string[] | null}} blindness
 * @returns {string[]}
 */
export function unheardOf({ unheard = [], silent }) {
  const late = new Set(unheard.map((each) => each.sensor));
  return [
    ...unheard.map((each) => t(`situation.unheard.${each.reason}`, { sensor: each.sensor, since: each.since === null ? "–" : (time(each.since).textContent ?? each.since) })),
    ...(silent ?? []).filter((sensor) => !late.has(sensor)).map((sensor) => t("situation.silent", { sensor })),
    ...(silent === null ? [t("situation.sensors_unknown")] : []),
  ];
}
