// Tells the window that opened this one what becomes of the sign-in.
(() => {
  "use strict";

  const { opener: origin, state, code, description } = document.body.dataset;

  const tell = (name, more) => {
    const message = { type: "@xsolla-login/sdk:" + name, params: { state }, ...more };
    try {
      window.opener.postMessage(message, origin);
    } catch {
      // There is no opener, or none any more: this page works without one.
    }
  };

  if (description) {
    tell("login:error", { error: { code, description } });
  } else {
    tell("open");
  }

  // A page that goes on to another one is no window that closes. A page that is
  // loaded again looks like one, and says "open" once more.
  let leaving = false;
  const close = () => {
    if (!leaving) tell("close");
    leaving = true;
  };
  addEventListener("submit", () => { leaving = true; });
  addEventListener("click", (event) => { leaving ||= Boolean(event.target.closest?.("a")); });
  addEventListener("pageshow", () => { leaving = false; });
  // What is sent later reaches nobody from a window that closes in Chromium. The
  // other is for browsers that have no such event.
  addEventListener("beforeunload", close);
  addEventListener("pagehide", close);
})();
