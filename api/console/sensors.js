// The strip at the top: how the sensors and the parts of the system are doing.

import { fill, h } from "./dom.js";
import { number, short, t, time } from "./texts.js";

/**
 * @typedef {{sensor: string, at: string, packets: number, packets_per_second: number | null, flows: number, dropped: number,
 *   drops: Record<string, number>}} Sensor
 * @typedef {{name: string, state: "working" | "done" | "failed", detail: string, batches: number, waiting: number}} Part
 * @typedef {{sensors: Sensor[], parts: Part[], packets: number | null, gap_count: number}} Health
 */

/** Least time over which a rate is measured. */
const WINDOW_MILLISECONDS = 1500;

/** @type {{packets: number, at: number} | null} */
let before = null;

/** The rate measured last. @type {number | null} */
let measured = null;

/** Packets in the last seconds, from one look to the next. @param {Health} health */
function rate(health) {
  const sum = health.sensors.reduce((total, sensor) => total + (sensor.packets_per_second ?? 0), 0);
  const capture = health.parts.find((part) => part.name === "capture");
  if (health.packets === null || capture?.state !== "working") {
    before = measured = null;
    return capture ? 0 : sum;
  }
  const now = { packets: health.packets, at: performance.now() };
  if (!before || now.packets < before.packets) before = now;
  if (now.at - before.at >= WINDOW_MILLISECONDS) {
    measured = ((now.packets - before.packets) * 1000) / (now.at - before.at);
    before = now;
  }
  return measured ?? sum;
}

/**
 * @param {string} label
 * @param {Node | string} value
 * @param {{level?: string, title?: string}} [options]
 */
function figure(label, value, { level = "", title = "" } = {}) {
  return h("div", { class: `figure ${level}`, title: title || null }, h("dt", {}, label), h("dd", {}, value));
}

/**
 * Draw the strip.
 * @param {HTMLElement} strip
 * @param {Health} health
 */
export function drawSensors(strip, health) {
  const { sensors, parts } = health;
  const sum = (/** @type {(sensor: Sensor) => number} */ of) => sensors.reduce((total, sensor) => total + of(sensor), 0);
  const packets = Math.max(health.packets ?? 0, sum((sensor) => sensor.packets));
  const dropped = sum((sensor) => sensor.dropped);
  const causes = sensors.flatMap((sensor) => Object.entries(sensor.drops).map(([cause, count]) => `${sensor.sensor} ${cause}: ${number(count)}`));
  const waiting = Math.max(0, ...parts.map((part) => part.waiting));
  const latest = sensors.map((sensor) => sensor.at).sort().at(-1);
  const list = h("dl", { class: "figures" });
  if (sensors.length || packets) {
    list.append(
      figure(t("sensors.packets"), short(packets), { title: number(packets) }),
      figure(t("sensors.rate"), short(rate(health))),
      figure(t("sensors.flows"), short(sum((sensor) => sensor.flows))),
      figure(t("sensors.dropped"), short(dropped), { level: dropped ? "warn" : "", title: causes.join("\n") }),
      figure(t("sensors.lag"), short(waiting), { level: waiting > 100 ? "warn" : "", title: parts.map((part) => `${t(`part.${part.name}`)}: ${part.waiting}`).join("\n") }),
    );
    if (health.gap_count) list.append(figure(t("sensors.gaps"), short(health.gap_count), { level: "bad" }));
    if (latest) list.append(figure(t("sensors.at"), time(latest)));
  } else {
    list.append(h("div", { class: "figure" }, h("dt", {}, t("sensors.label")), h("dd", { class: "words" }, t("sensors.none"))));
  }
  const states = h(
    "ul",
    { class: "parts" },
    parts.map((part) =>
      h("li", { class: part.state, title: part.detail || null }, h("span", { class: "dot" }), `${t(`part.${part.name}`)} `, h("span", { class: "quiet-text" }, t(`part.${part.state}`))),
    ),
  );
  fill(strip, list, states);
}
