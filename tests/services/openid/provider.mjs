// An OpenID provider: the certified `oidc-provider`, with accounts, clients and keys from a file that is read anew on SIGHUP.
// Its pages ask for a name and nothing else.

import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(createRequire(`${folder}/`).resolve("oidc-provider")));

const SECONDS = 600;
let serve;
let current;

function configure() {
  const told = JSON.parse(readFileSync(file, "utf8"));
  const provider = new Provider(told.issuer, {
    clients: told.clients,
    jwks: { keys: told.keys },
    claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups", "sites"] },
    scopes: ["openid", "profile", "groups"],
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "HS256"] },
    pkce: { required: () => true },
    cookies: { keys: ["of no other than these tests"] },
    features: { devInteractions: { enabled: false } },
    ttl: Object.fromEntries(["AccessToken", "AuthorizationCode", "Grant", "IdToken", "Interaction", "Session"].map((name) => [name, SECONDS])),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount(_, sub) {
      const claims = Object.values(told.accounts).find((each) => each.sub === sub);
      return claims && { accountId: sub, claims: () => claims };
    },
    // Who signs in grants: there is no page that asks for it.
    async loadExistingGrant(ctx) {
      const { client, session } = ctx.oidc;
      const known = session.grantIdFor(client.clientId);
      if (known) return provider.Grant.find(known);
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope("openid profile groups");
      await grant.save();
      return grant;
    },
  });
  const answer = provider.callback();
  serve = async (request, response) => {
    if (request.url === "/generation") return response.end(String(told.generation));
    if (!request.url.startsWith("/interaction/")) return answer(request, response);
    if (request.method === "GET") {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      return response.end('<!doctype html><title>Provider</title><form method="post"><label>Name <input name="name"></label><button>Continue</button></form>');
    }
    let body = "";
    for await (const part of request) body += part;
    const name = new URLSearchParams(body).get("name");
    const result = name === "nobody" ? { error: "access_denied" } : { login: { accountId: current.accounts[name].sub } };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  };
  current = told;
}

configure();
process.on("SIGHUP", configure);
createServer({ cert: readFileSync(current.certificate), key: readFileSync(current.key) }, (request, response) => serve(request, response)).listen(current.port, "127.0.0.1");
