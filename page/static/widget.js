// Tells the window that opened this one, then goes on to the callback.
(() => {
  "use strict";

  const view = document.getElementById("widget");
  const { callback, origin, state, handover } = view.dataset;
  const opener = origin ? window.opener : null;

  const tell = (message) => {
    try {
      opener.postMessage(message, origin);
      return true;
    } catch {
      return false; // the opener is gone
    }
  };

  if (opener && handover === "true" && tell({ type: "babka-login", loginUri: callback })) {
    // The opener follows the callback. Nobody else may: its code works once.
    document.getElementById("continue").hidden = true;
    document.getElementById("next").textContent = "You can close this window.";
    setTimeout(() => window.close(), 50);
    return;
  }
  if (opener && handover !== "true") {
    tell({ type: "@xsolla-login/sdk:login:success", params: { state } });
  }
  window.location.replace(callback);
})();
