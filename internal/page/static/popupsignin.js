// Opens a window to sign in, and goes on when that window says it is done.
(() => {
  "use strict";

  const view = document.getElementById("popup-sign-in");
  const button = document.getElementById("open");
  const status = document.getElementById("status");
  const here = document.getElementById("here");
  const { popup, back, channel, nonce } = view.dataset;

  let opened = null;
  let watch;
  let done = false;

  const proceed = (message) => {
    if (done || !message || message.type !== "caddy-sso:signed-in" || message.nonce !== nonce) return;
    done = true;
    clearInterval(watch);
    status.textContent = view.dataset.done;
    const target = new URL(back, window.location.href);
    const place = (url) => url.origin + url.pathname + url.search;
    // The same page is loaded again rather than replaced, which keeps the
    // fragment that no server ever saw.
    if (place(target) === place(new URL(window.location.href))) {
      window.location.reload();
    } else {
      window.location.replace(target.href);
    }
  };

  if (typeof BroadcastChannel === "function") {
    new BroadcastChannel(channel).addEventListener("message", (event) => proceed(event.data));
  }
  addEventListener("message", (event) => {
    if (event.origin === window.location.origin) proceed(event.data);
  });

  here.hidden = false;

  button.addEventListener("click", (event) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if (opened && !opened.closed) {
      opened.focus();
      return;
    }
    const width = 480;
    const height = 720;
    const left = Math.max(0, Math.round(window.screenX + (window.outerWidth - width) / 2));
    const top = Math.max(0, Math.round(window.screenY + (window.outerHeight - height) / 2));
    opened = window.open(popup, "caddy-sso-sign-in", `popup,width=${width},height=${height},left=${left},top=${top}`);
    if (!opened) {
      window.location.assign(button.href); // blocked
      return;
    }
    button.textContent = view.dataset.show;
    status.textContent = view.dataset.waiting;
    clearInterval(watch);
    watch = setInterval(() => {
      if (done || !opened.closed) return;
      clearInterval(watch);
      // Only a hint: a page that cuts its opener looks closed from here. So
      // this page goes on listening.
      button.textContent = view.dataset.again;
      status.textContent = view.dataset.closed;
    }, 500);
  });
})();
