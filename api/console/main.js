// The console: who is there, what to show, and what keeps it up to date.

import { choosePassword, setUp, signIn, brand, languageSwitch } from "./account.js";
import { Problem, call, get, keep, may } from "./api.js";
import { AlertDetail } from "./detail.js";
import { fill, h, icon } from "./dom.js";
import { DRILLS, DrillPage } from "./drills.js";
import { HANDOVERS, HandoverPage } from "./handovers.js";
import { IncidentPage } from "./incident.js";
import { INCIDENTS, IncidentList } from "./incidents.js";
import { AlertList } from "./list.js";
import { listen } from "./live.js";
import { OPERATOR, OperatorPage } from "./operator.js";
import { PROFILE, Profile } from "./profile.js";
import { drawSensors } from "./sensors.js";
import { SITUATION, SituationPage } from "./situation.js";
import { language, speak, t } from "./texts.js";
import { ToldList, ToldPage } from "./told.js";
import { TUNING, Tuning } from "./tuning.js";

const root = /** @type {HTMLElement} */ (document.getElementById("root"));

/** Ends the live stream of the page that is shown. */
let leave = () => {};

/** Pages of one-time links. */
const linked = ["/setup", "/password"].includes(location.pathname) ? location.pathname : "";

/** What a one-time link brings leaves the address bar at once, so that it is in no history. */
const link = new URLSearchParams(linked ? location.hash.slice(1) : "");
if (linked) history.replaceState(null, "", linked);
// A link that is opened where this page is shown already changes nothing but what stands behind the #.
addEventListener("hashchange", () => linked && location.pathname === linked && location.reload());

/** What a provider has sent the browser back with leaves the address bar too; it is handed on once. */
let returned = location.pathname === "/sign-in/oidc" ? Object.fromEntries(new URLSearchParams(location.search)) : null;
if (returned) history.replaceState(null, "", "/sign-in");

/** Sign in with what a provider has sent the browser back with; resolves with what went wrong, where something did. */
async function finish() {
  if (!returned) return "";
  const { state = "", code = null, error = null, iss = null } = returned;
  returned = null;
  try {
    const { data } = await call("POST", "/api/oidc/session", { body: { state, code, error, iss } });
    history.replaceState(null, "", `/${data.place}`);
    return "";
  } catch (problem) {
    return problem instanceof Problem ? problem.message : t("page.failed");
  }
}

async function start() {
  leave();
  leave = () => {};
  if (location.pathname === "/password") {
    choosePassword(root, { name: link.get("name") ?? "", token: link.get("token") ?? "" });
    return;
  }
  const told = await finish();
  try {
    const session = keep(await get("/api/session"));
    if (location.pathname !== "/") history.replaceState(null, "", `/${location.hash}`);
    // Whoever came back from the provider may be somebody else than the one whose session is here yet.
    if (told) stopped(told, t("sign_in.go_on", { name: session.name }));
    else show(session);
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) {
      failed(error);
      return;
    }
    const [{ needed }, provider] = await Promise.all([get("/api/setup"), get("/api/oidc")]);
    if (needed) setUp(root, link.get("token") ?? "", start);
    else signIn(root, provider.name, start, told);
  }
}

/** @param {unknown} error */
function failed(error) {
  stopped(error instanceof Problem ? error.message : t("page.failed"), t("page.retry"));
}

/**
 * What went wrong, and a way to begin anew.
 * @param {string} text
 * @param {string} label of the way
 */
function stopped(text, label) {
  fill(root, h("main", { class: "entry" }, h("p", { class: "problem", role: "alert" }, text), h("button", { type: "button", onclick: start }, label)));
}

/** @param {import("./api.js").Session} session */
function show(session) {
  // Who may see incidents alone, as an authority, begins with them; an authority with those that it was told of.
  const watches = may(session, "alert.read");
  const told = may(session, "told.read");
  document.title = `${t(watches ? "page.alerts" : "page.incidents")} · icsight`;
  const strip = h("div", { class: "strip", role: "region", "aria-label": t("sensors.label") });
  const lamp = h("span", { class: "lamp", role: "status" });
  const list = new AlertList(session, (id) => (location.hash = `#${encodeURIComponent(id)}`));
  const close = () => {
    const id = detail.id;
    history.pushState(null, "", location.pathname);
    route();
    /** @type {HTMLElement | null | undefined} */ (list.rows.get(id)?.firstElementChild)?.focus();
  };
  const detail = new AlertDetail(session, {
    close,
    beside: (id, step) => list.beside(id, step),
    changed: (item) => {
      list.take(item);
      detail.open(item.id);
    },
  });
  const tuning = new Tuning(session);
  const profile = new Profile(session);
  const situation = new SituationPage(session);
  const handovers = new HandoverPage(session);
  const incidents = told ? new ToldList() : new IncidentList(session);
  const incident = told ? new ToldPage() : new IncidentPage(session);
  const drills = new DrillPage(session);
  const operator = new OperatorPage(session);
  const signOut = async () => {
    leave();
    await call("DELETE", "/api/session").catch(() => {});
    history.replaceState(null, "", "/");
    start();
  };
  const header = h(
    "header",
    { class: "top" },
    brand(),
    lamp,
    strip,
    h(
      "div",
      { class: "account" },
      may(session, "situation.read") && h("a", { class: "button quiet", href: `#${SITUATION}` }, t("page.situation")),
      (may(session, "incident.read") || told) && h("a", { class: "button quiet", href: `#${INCIDENTS}` }, t("page.incidents")),
      may(session, "alert.read") && h("a", { class: "button quiet", href: `#${DRILLS}` }, t("page.drills")),
      may(session, "exception.read") && h("a", { class: "button quiet", href: `#${TUNING}` }, t("page.tuning")),
      languageSwitch(start),
      h("a", { class: "who", href: `#${PROFILE}`, title: t(`role.${session.role}`) }, session.name),
      h("button", { type: "button", class: "quiet square", "aria-label": t("page.sign_out"), title: t("page.sign_out"), onclick: signOut }, icon("out")),
    ),
  );
  const skip = h("a", { class: "skip", href: "#alerts", onclick: (/** @type {Event} */ event) => { event.preventDefault(); list.list.focus(); } }, t("page.skip"));
  const main = h("main", { class: "split" }, watches && [list.element, detail.element], tuning.element, profile.element, situation.element, handovers.element, incidents.element, incident.element, drills.element, operator.element);
  fill(root, watches && skip, header, main);

  function route() {
    const asked = decodeURIComponent(location.hash.slice(1));
    const place = watches || asked.startsWith("/") ? asked : INCIDENTS;
    const number = place.startsWith(`${INCIDENTS}/`) ? Number(place.slice(INCIDENTS.length + 1)) : 0;
    const note = place === HANDOVERS ? 0 : place.startsWith(`${HANDOVERS}/`) ? Number(place.slice(HANDOVERS.length + 1)) : -1;
    const drill = place === DRILLS ? 0 : place.startsWith(`${DRILLS}/`) ? Number(place.slice(DRILLS.length + 1)) : -1;
    const operated = place === OPERATOR || place.startsWith(`${OPERATOR}/`);
    const page = note >= 0 || drill >= 0 || operated || place === TUNING || place === PROFILE || place === SITUATION || place === INCIDENTS || number > 0;
    const id = page ? "" : place;
    if (place === TUNING) tuning.open();
    else tuning.close();
    if (place === PROFILE) profile.open();
    else profile.close();
    if (place === SITUATION) situation.open();
    else situation.close();
    if (note >= 0) handovers.open(note);
    else handovers.close();
    if (place === INCIDENTS) incidents.open();
    else incidents.close();
    if (number) incident.open(number);
    else incident.close();
    if (drill >= 0) drills.open(drill);
    else drills.close();
    if (operated) operator.open(place === OPERATOR ? null : place.slice(OPERATOR.length + 1));
    else operator.close();
    main.classList.toggle("tuned", page);
    main.classList.toggle("opened", Boolean(id));
    if (!watches) return;
    list.choose(id);
    if (id) detail.open(id);
    else detail.close();
  }
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape" && detail.id && !document.querySelector("dialog")) close();
  };
  const connected = (/** @type {boolean} */ is) => {
    lamp.className = `lamp ${is ? "on" : "off"}`;
    lamp.textContent = t(is ? "page.live" : "page.live.lost");
  };
  connected(false);
  const listeners = {
    alert: (/** @type {import("./api.js").AlertItem} */ item) => {
      list.take(item);
      situation.changed();
      drills.changed();
      if (item.id === detail.id) detail.changed();
    },
    incidents: (/** @type {number[]} */ numbers) => {
      incidents.changed();
      incident.changed(numbers);
      drills.changed();
      situation.changed();
    },
    others: (/** @type {import("./live.js").Others} */ changed) => {
      if (changed.handovers) handovers.changed();
      if (changed.exceptions) tuning.changed();
      if (changed.handovers || changed.exceptions || changed.windows) situation.changed();
    },
    reload: () => {
      if (watches) list.load();
      situation.changed();
      handovers.changed();
      tuning.changed();
      incidents.changed();
      incident.changed(null);
      drills.changed();
      operator.changed();
    },
    sensors: (/** @type {import("./sensors.js").Health} */ health) => drawSensors(strip, health),
    state: connected,
    ended: () => {
      // What was asked in the session says what it was about.
      for (const each of document.querySelectorAll("dialog")) each.close();
      start();
    },
  };
  const stop = listen(language(), listeners);
  addEventListener("hashchange", route);
  addEventListener("keydown", onKey);
  leave = () => {
    stop();
    removeEventListener("hashchange", route);
    removeEventListener("keydown", onKey);
  };
  if (watches) list.begin().then(route, failed);
  else route();
}

speak().then(start, failed);
