// Tells the page that opened this window, then closes it.
(() => {
  "use strict";

  const { channel, nonce } = document.getElementById("popup-done").dataset;
  const message = { type: "caddy-sso:signed-in", nonce };

  if (typeof BroadcastChannel === "function") {
    new BroadcastChannel(channel).postMessage(message);
  }
  if (window.opener) {
    try {
      window.opener.postMessage(message, window.location.origin);
    } catch {
      // The opener is gone; the channel has told whoever is left.
    }
  }
  setTimeout(() => window.close(), 50);
})();
