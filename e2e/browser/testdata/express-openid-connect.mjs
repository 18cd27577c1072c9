// A web application of Express, whose handler takes the answer by form_post. It is
// told {issuer, clientID, clientSecret}, and the rest it discovers. It says
// {origin}, where it is.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const express = require("express");
const { auth } = require("express-openid-connect");

const own = JSON.parse(process.argv[2]);
const server = express().listen(0, "127.0.0.1", () => {
	const origin = "http://127.0.0.1:" + server.address().port;
	const app = express();
	app.use(auth({
		baseURL: origin, issuerBaseURL: own.issuer, clientID: own.clientID, clientSecret: own.clientSecret,
		secret: "a secret of the application's own cookies", idTokenSigningAlg: "ES256", authRequired: true,
		authorizationParams: { response_type: "code", response_mode: "form_post", scope: "openid email" },
	}));
	app.get("/{*path}", (req, res) => {
		res.send(`<!doctype html><html lang="en"><title>Application</title><p>Hello, ${req.oidc.user.email}.`);
	});
	server.removeAllListeners("request");
	server.on("request", app);
	process.stdout.write(JSON.stringify({ origin }) + "\n");
});
