// A web application in Node that knows its issuer and its own registration: it
// is told {issuer, clientId, clientSecret}, and the rest it discovers. It says
// {url}, which the test opens; then {claims, userInfo, endSession}, the last of
// which the test opens as well; or {failed}.

import { createServer } from "node:http";
import * as client from "openid-client";

const own = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

let arrived;
const answer = new Promise((resolve) => { arrived = resolve; });
const listener = createServer((r, w) => {
	w.end("<!doctype html><title>Application</title><p>Hello.");
	if (r.url.startsWith("/callback")) {
		arrived(r.url);
	}
});

async function main() {
	await new Promise((resolve) => { listener.listen(0, "127.0.0.1", resolve); });
	const origin = "http://127.0.0.1:" + listener.address().port;
	const authentication = own.clientSecret ? client.ClientSecretBasic(own.clientSecret) : client.None();
	const config = await client.discovery(new URL(own.issuer), own.clientId, undefined, authentication, {
		execute: [client.allowInsecureRequests], // loopback
	});
	const verifier = client.randomPKCECodeVerifier();
	const state = client.randomState();
	const nonce = client.randomNonce();
	const url = client.buildAuthorizationUrl(config, {
		redirect_uri: origin + "/callback", scope: "openid email profile", state, nonce,
		code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
	});
	say({ url: url.href });

	const tokens = await client.authorizationCodeGrant(config, new URL(origin + (await answer)), {
		pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true,
	});
	const claims = tokens.claims();
	const userInfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
	const endSession = client.buildEndSessionUrl(config, {
		id_token_hint: tokens.id_token, post_logout_redirect_uri: origin + "/bye", state: "over",
	});
	say({ claims, userInfo, endSession: endSession.href, bye: origin + "/bye" });
}

main().catch((e) => say({ failed: `${e.message} ${e.cause ? JSON.stringify(e.cause) : ""}` }));
