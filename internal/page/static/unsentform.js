// Keeps a form in this tab while its sender signs in. Only one is kept.
(() => {
  "use strict";

  const prefix = "caddy-sso:form:";
  const { id, next, action, type, charset, fields, visitor } = document.getElementById("unsent-form").dataset;
  try {
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith(prefix)) sessionStorage.removeItem(key);
    }
    sessionStorage.setItem(prefix + id, JSON.stringify({
      action: action + location.hash, // which no server ever saw
      type, charset, fields, visitor,
      page: document.referrer,
      time: Date.now(),
    }));
  } catch {
    return; // nothing may be stored: the page says what to do
  }
  location.replace(next);
})();
