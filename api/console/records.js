// Records as tables: the columns that matter first, values as an engineer reads them.

import { h } from "./dom.js";
import { number, t, time } from "./texts.js";

/** Durations come in nanoseconds. */
const DURATIONS = new Set(["flow.duration", "modbus.response_time", "opcua.response_time", "sensor.clock_offset"]);

/** Values of a list that are shown before the rest is left to the tooltip. */
const VALUES = 8;

/** Rows of a table that are drawn. */
const ROWS = 200;

/**
 * One value.
 * @param {string} column
 * @param {unknown} value
 * @returns {Node | string}
 */
function cell(column, value) {
  if (value === null || value === undefined) return "";
  if (column === "ts") return time(String(value), true);
  if (DURATIONS.has(column) && typeof value === "number") return duration(value);
  if (Array.isArray(value)) {
    const texts = value.map((part) => (typeof part === "object" ? JSON.stringify(part) : String(part)));
    return texts.length <= VALUES ? texts.join(" ") : `${texts.slice(0, VALUES).join(" ")} … (${texts.length})`;
  }
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** @param {number} nanoseconds */
function duration(nanoseconds) {
  if (nanoseconds < 1e6) return `${number(Math.round(nanoseconds / 1e3))} µs`;
  if (nanoseconds < 1e9) return `${number(Math.round(nanoseconds / 1e4) / 100)} ms`;
  return `${number(Math.round(nanoseconds / 1e7) / 100)} s`;
}

/** A column's name without the table's. @param {string} column @param {string} table */
function heading(column, table) {
  return column.startsWith(`${table}.`) ? column.slice(table.length + 1) : column;
}

/**
 * The tables of an alert's records.
 * @param {{tables: {table: string, columns: string[], items: Record<string, unknown>[]}[], missing: string[]}} records
 * @param {number} count findings of the alert
 */
export function recordTables(records, count) {
  const held = records.tables.reduce((total, table) => total + table.items.length, 0);
  return [
    ...records.tables.map(({ table, columns, items }) =>
      h(
        "figure",
        { class: "table" },
        h("figcaption", {}, h("code", {}, table), ` ${number(items.length)}`),
        h(
          "div",
          { class: "scroll", tabindex: 0, role: "region", "aria-label": table },
          h(
            "table",
            {},
            h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", title: column }, heading(column, table))))),
            h(
              "tbody",
              {},
              items.slice(0, ROWS).map((item) =>
                h("tr", {}, columns.map((column) => h("td", { class: typeof item[column] === "number" ? "n" : null, title: Array.isArray(item[column]) ? JSON.stringify(item[column]) : null }, cell(column, item[column])))),
              ),
            ),
          ),
        ),
      ),
    ),
    !held && !records.missing.length ? h("p", { class: "hint" }, t("detail.records.none")) : null,
    records.missing.length ? h("p", { class: "hint" }, t("detail.records.missing", { count: number(records.missing.length) })) : null,
    held && held < count ? h("p", { class: "hint" }, t("detail.records.shown", { shown: number(held), count: number(count) })) : null,
  ];
}
