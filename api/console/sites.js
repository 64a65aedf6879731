// The sites: what they are called, and the choice of one of them where there are several.

import { get } from "./api.js";
import { choice } from "./forms.js";
import { t } from "./texts.js";

/** What a site is called. @param {string} name */
export const called = (name) => name || t("accounts.sites.unnamed");

/** Names of the sites that the viewer may see. @returns {Promise<string[]>} */
export const sites = async () => (await get("/api/sites")).map((/** @type {{name: string}} */ each) => each.name);

/** Before a name in the form: the site without a name is one, too, and what is empty is no choice. */
const MARK = "/";

/**
 * The control that asks for a site; null where there is but one.
 * @param {string[]} known the sites that there are
 * @param {{site?: string | undefined, fixed?: boolean}} [about] the one that is chosen at first; whether it can be no other
 */
export function choiceOfSite(known, { site, fixed = false } = {}) {
  const all = [...new Set(site === undefined ? known : [...known, site])].sort();
  if (all.length < 2) return null;
  const offered = (fixed && site !== undefined ? [site] : all).map((name) => /** @type {const} */ ([MARK + name, called(name)]));
  const options = site === undefined ? [/** @type {const} */ (["", t("accounts.reach.choose")]), ...offered] : offered;
  return choice("site", "field.site", options, { value: site === undefined ? "" : MARK + site, required: true });
}

/**
 * The site that was chosen, as the API takes it; nothing where none was asked for.
 * @param {FormData} values
 * @returns {{site?: string}}
 */
export function siteOf(values) {
  const chosen = values.get("site");
  return chosen ? { site: String(chosen).slice(MARK.length) } : {};
}
