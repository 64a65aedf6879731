// Passkeys: the browser asks the authenticator, and what it says goes to the API.

import { Problem, call } from "./api.js";
import { t } from "./texts.js";

/** Whether this browser can show passkeys, which belong to a name, here: an address has none. */
export const canShow = () => "PublicKeyCredential" in window && "parseRequestOptionsFromJSON" in PublicKeyCredential && !/^[\d.]+$|:/.test(location.hostname);

/**
 * What an authenticator says. Throws where nobody touches it.
 * @param {() => Promise<Credential | null>} ask
 * @returns {Promise<any>}
 */
async function said(ask) {
  try {
    const found = await ask();
    if (found instanceof PublicKeyCredential) return found.toJSON();
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
  throw new Error(t("passkey.cancelled"));
}

/**
 * What a passkey has signed, to sign in with.
 * @param {boolean} alone without a password
 */
export async function show(alone) {
  const { data } = await call("POST", "/api/passkeys/begin", { body: { alone } });
  const { id, response } = await said(() => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(data.options) }));
  return { id, client_data: response.clientDataJSON, authenticator_data: response.authenticatorData, signature: response.signature };
}

/**
 * A new passkey, to be registered.
 * @param {any} options
 * @param {string} name
 */
export async function make(options, name) {
  const { id, response } = await said(() => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }));
  return { name, id, client_data: response.clientDataJSON, attestation: response.attestationObject };
}

/**
 * Change how an account signs in: with the password, and a code or a passkey where it has any.
 * @param {string} path
 * @param {FormData} values
 */
export async function proven(path, values) {
  const body = { password: values.get("password"), code: values.get("code") };
  try {
    return await call("POST", path, { body });
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "passkey_needed" || !canShow()) throw error;
    return call("POST", path, { body: { ...body, passkey: await show(false) } });
  }
}
