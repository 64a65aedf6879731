// Calls to the API: the session's token with every change, problems as errors.

import { h } from "./dom.js";
import { language, t } from "./texts.js";

/** A request that the API could not answer (RFC 9457). */
export class Problem extends Error {
  /** @param {{status: number, code: string, title: string, detail: string}} body */
  constructor(body) {
    super(body.detail);
    this.status = body.status;
    this.code = body.code;
    this.title = body.title;
  }
}

let token = "";

/** Keys of changes that got no answer, or are carried out still: sent again, they are carried out once. @type {Map<string, string>} */
const unanswered = new Map();

/** What is answered of a change that was, or is, carried out: sent with another key it would be so twice. */
const UNDER_WAY = ["idempotency_busy", "idempotency_done"];

/** The dialog in which they were asked for is gone: the same asked for anew is another change. */
export const forget = () => unanswered.clear();

/** An answer, and what it says. @typedef {{response: Response, data: any}} Answer */

/**
 * Send a change with a key (`Idempotency-Key`), the same one for as long as the same change gets no answer. Throws where none comes,
 * is cut off, or is that of something before the server.
 * @param {string} path
 * @param {RequestInit & {headers: Record<string, string>}} request
 * @param {string} said what tells it from other changes
 * @param {(response: Response) => Promise<any>} [take] reads what a good answer brings
 * @returns {Promise<Answer>}
 */
async function once(path, request, said, take = json) {
  const asked = JSON.stringify([request.method, path, request.headers["If-Match"] ?? null, said]);
  const key = unanswered.get(asked) ?? drawn();
  unanswered.set(asked, key);
  const answer = await told(path, { ...request, headers: { ...request.headers, "Idempotency-Key": key } }, take).catch(() => {
    throw new Error(t("page.unanswered"));
  });
  const { ok, status } = answer.response;
  if (ok || (status < 500 && !UNDER_WAY.includes(answer.data.code))) unanswered.delete(asked);
  return answer;
}

/**
 * Send what needs no key, or can have none. Throws as `once`.
 * @param {string} path
 * @param {RequestInit} request
 * @returns {Promise<Answer>}
 */
const plain = (path, request) =>
  told(path, request, json).catch(() => {
    throw new Error(t("page.no_answer"));
  });

/**
 * Send, and read the whole answer.
 * @param {string} path
 * @param {RequestInit} request
 * @param {(response: Response) => Promise<any>} take
 * @returns {Promise<Answer>}
 */
async function told(path, request, take) {
  const response = await fetch(path, request);
  return { response, data: response.status === 204 ? null : await (response.ok ? take : json)(response) };
}

/** @param {Response} response @returns {Promise<any>} */
const json = (response) => response.json();

/** A key that nobody drew before. `crypto.randomUUID` is not there where the page came without TLS. */
const drawn = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * @typedef {{name: string, role: string, sites: string[] | null, permissions: string[], for_tokens: string[], csrf_token: string}} Session
 * @typedef {{state: string, version: number, by: string | null, at: string | null, note: string | null, disposition: string | null, permit: string | null, incident: number | null}} Triage
 * @typedef {{id: string, revision: number, change: number, updated_at: string, site: string, rule: string, part_of: string | null, hidden_by: string | null, suppressed_by: number | null,
 *   merged_into: string | null, detached_from: string | null, drill: number | null, snooze: {until: string, conditions: string[], by: string, note: string} | null, severity: string, confidence: number, rank: number, title: string,
 *   summary: string, first_seen: string, last_seen: string, count: number, "client.ip": string | null, "server.ip": string | null,
 *   techniques: string[], triage: Triage}} AlertItem
 * @typedef {{name: string, kind: string, rules: string[], clients: string[], servers: string[], target: Record<string, string>, end: string | null, hides: number, undecided: number}} Proposal
 * @typedef {{rule: string, title: string, severity: string, count: number, records: string[]}} Related
 * @typedef {{id: string, sentence: string, stages: {tactic: string, name: string, techniques: string[], first_seen: string}[], alerts: string[]}} Story
 * @typedef {AlertItem & {technique_aliases: string[], expected: string, observed: string, next_steps: string[], records: string[],
 *   related: Related[], story: Story | null, exception: {name: string, reason: string | null, end: string | null} | null, holds: string[],
 *   merged: {id: string, title: string, severity: string}[]}} Alert
 * @typedef {{ends: {side: string, address: string, asset: {name: string, criticality: string, owner: string} | null, zone: string | null, level: string | null}[],
 *   points: {point: string, latest: number | null, expected: {least: number, greatest: number} | null, outside: boolean | null}[],
 *   operations: {client: string, name: string | null, own: boolean, operation: string, records: number, last: string}[],
 *   earlier: {id: string, title: string, disposition: string | null, first_seen: string}[], incidents: {number: number, title: string}[],
 *   effects: {kind: string, text: string, seen: boolean, techniques: string[], written: string[], role: string | null}[],
 *   missing: {part: string, code: string, reason: string}[]}} Context
 */

/**
 * Take the session that was answered: changes will bring its token.
 * @param {Session} session
 * @returns {Session}
 */
export function keep(session) {
  token = session.csrf_token;
  return session;
}

/**
 * Whether the account may do something; the API refuses it otherwise.
 * @param {{permissions: string[]}} session
 * @param {string} permission
 */
export const may = (session, permission) => session.permissions.includes(permission);

/**
 * The headers of a call.
 * @param {string} method
 * @returns {Record<string, string>}
 */
function headersOf(method) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json, application/problem+json", "Accept-Language": language() };
  if (method !== "GET") headers["X-CSRF-Token"] = token;
  return headers;
}

/**
 * Call the API. Throws Problem.
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, etag?: string | null}} [options]
 * @returns {Promise<{data: any, etag: string | null, next: string | null}>} `next`: address of the next page of a plain list
 */
export async function call(method, path, { body, etag } = {}) {
  const headers = headersOf(method);
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (etag) headers["If-Match"] = etag;
  const content = body === undefined ? null : JSON.stringify(body);
  const request = { method, headers, body: content, credentials: /** @type {const} */ ("same-origin") };
  const { response, data } = method === "GET" ? await plain(path, request) : await once(path, request, content ?? "");
  if (!response.ok) throw new Problem(data);
  return { data, etag: response.headers.get("ETag"), next: /<([^>]+)>; rel="next"/.exec(response.headers.get("Link") ?? "")?.[1] ?? null };
}

/** Pages of a plain list that are followed at most. */
const MOST_PAGES = 20;

/**
 * A plain list with all its pages. Throws Problem.
 * @param {string} path
 * @returns {Promise<any[]>}
 */
export async function whole(path) {
  const found = [];
  for (let [place, turn] = [/** @type {string | null} */ (path), 0]; place && turn < MOST_PAGES; turn++) {
    const { data, next } = await call("GET", place);
    found.push(...data);
    place = next;
  }
  return found;
}

/**
 * The answer to a GET. Throws Problem.
 * @param {string} path
 * @param {Record<string, string>} [query] empty values are left out
 * @returns {Promise<any>}
 */
export async function get(path, query = {}) {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  return (await call("GET", given.size ? `${path}?${given}` : path)).data;
}

/** The largest file that is sent with a key, which the server holds in memory; it may have been told another bound. */
const KEYED_BYTES = 8 * 1024 * 1024;

/**
 * Send a file as it is, not held in memory. Throws Problem.
 * @param {string} path
 * @param {Record<string, string>} query
 * @param {File} file
 * @returns {Promise<any>}
 */
export async function upload(path, query, file) {
  const headers = { ...headersOf("POST"), "Content-Type": file.type || "application/octet-stream" };
  const request = { method: "POST", headers, body: file, credentials: /** @type {const} */ ("same-origin") };
  const address = `${path}?${new URLSearchParams(query)}`;
  const keyed = file.size > KEYED_BYTES ? null : await once(address, request, `${file.name} ${file.size} ${file.lastModified}`);
  const { response, data } = keyed && keyed.response.status !== 413 ? keyed : await plain(address, request);
  if (!response.ok) throw new Problem(data);
  return data;
}

/**
 * Have a file made, and let the browser keep it. Resolves with its name. Throws Problem.
 * @param {string} path
 * @param {unknown} body
 * @param {string} name
 */
export async function save(path, body, name) {
  const headers = { ...headersOf("POST"), "Content-Type": "application/json" };
  const content = JSON.stringify(body);
  const { response, data } = await once(path, { method: "POST", headers, body: content, credentials: "same-origin" }, content, (answer) => answer.blob());
  if (!response.ok) throw new Problem(data);
  const link = h("a", { href: URL.createObjectURL(data), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return name;
}
