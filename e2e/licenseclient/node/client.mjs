// Licensed software in Node, as a vendor writes it from the License API's
// documentation. It is told what to do by one argument, JSON:
//
//	{api, backend, apiKey, sharedKey, product, account, hardware, responseType}
//
// and says what it does in lines of JSON: {url, redirectURI}, which the test
// opens; then {answer}, what the browser brought, and {status, body}, what the
// activation was answered with; or {failed}, and the error.

import { createHmac, createVerify } from "node:crypto";
import { createServer, request } from "node:http";

const own = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// The day of the month has no leading zero.
function dated(t) {
	const two = (n) => String(n).padStart(2, "0");
	return `${days[t.getUTCDay()]}, ${t.getUTCDate()} ${months[t.getUTCMonth()]} ${t.getUTCFullYear()} ` +
		`${two(t.getUTCHours())}:${two(t.getUTCMinutes())}:${two(t.getUTCSeconds())} GMT`;
}

function signed() {
	const date = dated(new Date());
	const signature = createHmac("sha256", own.sharedKey).update("licenseSpring\ndate: " + date).digest("base64");
	return {
		Date: date,
		Authorization: `algorithm="hmac-sha256",headers="date",signature="${signature}",apiKey="${own.apiKey}"`,
		Accept: "application/json",
	};
}

function send(method, url, headers, body) {
	return new Promise((resolve, reject) => {
		const r = request(url, { method, headers }, (answer) => {
			const chunks = [];
			answer.on("data", (chunk) => chunks.push(chunk));
			answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks).toString("utf8") }));
			answer.on("error", reject);
		});
		r.on("error", reject);
		r.end(body);
	});
}

// What was parsed is printed again, and that is what has to be signed.
async function verified(answer) {
	const key = await send("GET", own.api + "/sso/license_signature.pem", {});
	const parsed = JSON.parse(answer.body);
	const signature = answer.headers.licensesignature;
	if (!signature || !createVerify("RSA-SHA256").update(JSON.stringify(parsed)).verify(key.body, signature, "base64")) {
		throw new Error("LicenseSignature does not verify over " + JSON.stringify(parsed));
	}
	return parsed;
}

// What a server cannot see of an address, the script of this page posts.
const page = `<!doctype html>
<html lang="en">
<title>Licensed software in Node</title>
<p id="said">One moment…</p>
<script>
fetch("/fragment", {method: "POST", body: location.hash.slice(1)}).then(() => {
	document.getElementById("said").textContent = "Node has your answer.";
});
</script>
</html>`;

function listen() {
	return new Promise((listening) => {
		let arrived;
		const answer = new Promise((resolve) => { arrived = resolve; });
		const server = createServer((r, w) => {
			const at = new URL(r.url, "http://localhost");
			if (r.method === "POST" && at.pathname === "/fragment") {
				let body = "";
				r.on("data", (chunk) => { body += chunk; });
				r.on("end", () => {
					w.writeHead(204).end();
					arrived(Object.fromEntries(new URLSearchParams(body)));
				});
				return;
			}
			if (at.pathname !== "/") {
				w.writeHead(204).end();
				return;
			}
			w.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
			if (at.search === "") {
				w.end(page);
				return;
			}
			w.end("<!doctype html><html lang=en><title>Licensed software in Node</title><p>Node has your answer.</p></html>");
			arrived(Object.fromEntries(at.searchParams));
		});
		server.listen(0, "localhost", () => listening({ redirectURI: "http://localhost:" + server.address().port, answer, server }));
	});
}

async function main() {
	const listener = await listen();
	try {
		const query = new URLSearchParams({ product: own.product, customer_account_code: own.account, redirect_uri: listener.redirectURI });
		if (own.responseType) {
			query.set("response_type", own.responseType);
		}
		const asked = await send("GET", own.api + "/api/v4/sso_url/?" + query, signed());
		if (asked.status !== 200) {
			say({ failed: "sso_url", status: asked.status, body: asked.body });
			return;
		}
		const { url } = await verified(asked);
		say({ url, redirectURI: listener.redirectURI });

		const answer = await listener.answer;
		say({ answer });
		if (answer.error) {
			return;
		}
		const body = JSON.stringify({
			product: own.product,
			hardware_id: own.hardware,
			customer_account_code: own.account,
			...(answer.code ? { code: answer.code, redirect_uri: listener.redirectURI } : { id_token: answer.id_token }),
			sdk_ver: "node/1.0",
		});
		const activated = await send("POST", own.backend + "/api/v4/activate_license/", {
			...signed(), "Content-Type": "application/json; charset=utf-8", "Content-Length": Buffer.byteLength(body),
		}, body);
		say({ status: activated.status, body: activated.body, sent: body });
	} finally {
		listener.server.closeAllConnections();
		listener.server.close();
	}
}

main().catch((e) => {
	say({ failed: e.message });
	process.exitCode = 1;
});
