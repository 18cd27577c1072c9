// Tells the window that opened this one, then goes on to the callback.
(() => {
  "use strict";

  const view = document.getElementById("widget");
  const next = document.getElementById("next");
  const go = document.getElementById("continue");
  const { callback, origin, state, handover, gone, done } = view.dataset;
  const opener = origin && window.opener && !window.opener.closed ? window.opener : null;

  const tell = (name, more) => {
    const message = { type: "@xsolla-login/sdk:" + name, params: { state }, ...more };
    try {
      opener.postMessage(message, origin);
      return true;
    } catch {
      return false; // the opener is gone
    }
  };

  if (handover === "true" && origin) {
    if (opener && tell("babka-login", { loginUri: callback })) {
      // The opener follows the callback. Nobody else may: its code works once.
      go.hidden = true;
      next.textContent = done;
      setTimeout(() => window.close(), 50);
    } else {
      next.textContent = gone;
      go.classList.remove("later");
    }
    return;
  }
  if (opener) tell("login:success");
  window.location.replace(callback);
})();
