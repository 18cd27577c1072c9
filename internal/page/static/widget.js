// Tells the window that opened this one, then goes on to the callback.
(() => {
  "use strict";

  const view = document.getElementById("widget");
  const next = document.getElementById("next");
  const go = document.getElementById("continue");
  const { callback, origin, state, used, code, description, closes, wait, done, gone, silent, unanswered, late } = view.dataset;
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

  const say = (text, goes) => {
    next.textContent = text;
    go.hidden = !goes;
    go.classList.remove("later");
  };

  // The opener follows the callback, and nobody else need, since its code works
  // once. Whether the message arrived, the browser does not say: an opener that
  // went elsewhere meanwhile gets none.
  const closeOnceUsed = async (delay) => {
    let status = 0;
    try {
      ({ status } = await fetch(used, { cache: "no-store" }));
    } catch {
      // The portal does not answer: it is asked again.
    }
    if (status === 204) {
      say(done, false);
      window.close();
      return;
    }
    if (status === 400 || status === 410) { // this page is too old, or the code
      say(late, false);
      return;
    }
    if (delay === 2000) say(status === 202 ? silent : unanswered, true);
    setTimeout(closeOnceUsed, delay, Math.min(2 * delay, 2000));
  };

  if (description) {
    const told = opener && tell("login:error", { error: { code, description } });
    if (told && closes !== undefined) {
      say(done, true);
      window.close();
    } else {
      window.location.replace(callback);
    }
    return;
  }
  if (used && origin) {
    if (opener && tell("babka-login", { loginUri: callback })) {
      say(wait, false);
      setTimeout(closeOnceUsed, 125, 250);
    } else {
      say(gone, true);
    }
    return;
  }
  if (opener) tell("login:success");
  window.location.replace(callback);
})();
