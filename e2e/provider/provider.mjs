// A real OpenID Connect provider for tests, on a loopback port. It takes one
// argument, JSON: issuer, clients, accounts (claims by name, as which anybody
// may sign in), and settings of oidc-provider to lay over those below. Every
// start makes a new signing key. Once it listens it prints "ready".
//
// Clients that may use refresh tokens get one, which works once. A line of JSON
// that is written to it is an order: {"disable": account}, {"down": true or
// false}, which it confirms by "done"; while it is down it does not listen, and
// forgets nothing. It prints "renewed" and the account for each refresh token
// that it took.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const told = JSON.parse(process.argv[2]);
const kid = randomBytes(8).toString('hex');
const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });

const provider = new Provider(told.issuer, {
  clients: told.clients,
  jwks: { keys: [{ ...key, kid, use: 'sig', alg: 'RS256' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: ['openid', 'profile', 'email', 'groups'],
  claims: {
    openid: ['sub'],
    profile: ['preferred_username', 'picture'],
    email: ['email', 'email_verified'],
    groups: ['roles'],
  },
  pkce: { required: () => true },
  discovery: { prompt_values_supported: ['none', 'login', 'consent'] },
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  features: { devInteractions: { enabled: false } },
  ttl: { Session: 3600, Interaction: 600, Grant: 3600, AccessToken: 600, IdToken: 600 },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => told.accounts[id] && { accountId: id, claims: () => ({ sub: id, ...told.accounts[id] }) },
  // Nobody is asked for consent: it is given for whatever is asked.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile email groups');
    await grant.save();
    return grant;
  },
  // Its own would not ask loopback addresses, where all of a test is.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  ...told.settings,
});

const escaped = (s) => String(s).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

// signIn is the provider's own page: a name, and nothing else.
async function signIn(req, res) {
  const details = await provider.interactionDetails(req, res);
  if (req.method === 'POST') {
    let body = '';
    for await (const chunk of req) body += chunk;
    const form = new URLSearchParams(body);
    const result = form.has('cancel')
      ? { error: 'access_denied', error_description: '<b>the user did not want to</b>' }
      : { login: { accountId: form.get('login') } };
    await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
    return;
  }
  res.setHeader('Content-Type', 'text/html; charset=utf-8');
  res.end(`<!doctype html><html lang="en"><title>Provider</title><h1>Provider</h1>
<form method="post" action="/interaction/${escaped(details.uid)}">
<label>Name <input name="login" value="${escaped(details.params.login_hint ?? '')}"></label>
<button>Sign in at the provider</button>
</form>
<form method="post" action="/interaction/${escaped(details.uid)}">
<input type="hidden" name="cancel" value="1">
<button>Cancel</button>
</form></html>`);
}

const answer = provider.callback();
const server = createServer((req, res) => {
  if (!req.url.startsWith('/interaction/')) {
    answer(req, res);
    return;
  }
  signIn(req, res).catch((err) => {
    res.statusCode = 400;
    res.end(err.message);
  });
});
const { hostname, port } = new URL(told.issuer);
const listen = (word) => server.listen(Number(port), hostname, () => console.log(word));
listen('ready');

provider.on('grant.success', (ctx) => {
  if (ctx.oidc.params.grant_type === 'refresh_token') console.log(`renewed ${ctx.oidc.entities.Account.accountId}`);
});

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  if (order.down === false) {
    listen('done');
    continue;
  }
  if (order.down) {
    server.close();
    server.closeAllConnections();
  }
  delete told.accounts[order.disable];
  console.log('done');
}
