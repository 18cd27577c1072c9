// Sends on, once, the form that this tab kept while its sender signed in.
(() => {
  "use strict";

  const view = document.getElementById("send-form");
  const status = document.getElementById("status");
  const key = "caddy-sso:form:" + view.dataset.id;
  const lifetime = 60 * 60 * 1000;

  const find = () => {
    for (const other of Object.keys(localStorage)) {
      if (other.startsWith("caddy-sso:form:") && !(Date.now() - localStorage.getItem(other) < 2 * lifetime)) localStorage.removeItem(other);
    }
    const form = JSON.parse(sessionStorage.getItem(key));
    if (!form || localStorage.getItem(key)) return null;
    const ours = new URL(form.action, location.origin).origin === location.origin;
    return ours && Date.now() - form.time < lifetime ? form : null;
  };

  // A tab that is duplicated has a copy, so what was sent is noted for all tabs.
  const take = () => {
    const form = find();
    sessionStorage.removeItem(key);
    if (form) localStorage.setItem(key, Date.now());
    return form;
  };

  const bytes = (part) => Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

  const send = (kept) => {
    const decoder = new TextDecoder(kept.charset, { ignoreBOM: true });
    const text = (part) => decoder.decode(bytes(part));
    const form = document.createElement("form");
    form.method = "post";
    form.action = new URL(kept.action, location.origin);
    form.enctype = kept.type;
    form.acceptCharset = kept.charset;
    // Not by inputs, which would change some names and values.
    form.addEventListener("formdata", ({ formData }) => {
      for (const field of kept.fields ? kept.fields.split(" ") : []) {
        const [name, value, fileName, fileType] = field.split(".");
        if (fileType === undefined) {
          formData.append(text(name), text(value));
        } else {
          formData.append(text(name), new File([bytes(value)], text(fileName), { type: text(fileType) }));
        }
      }
    });
    // The backend sees which page the form was on, and going back leads there at
    // most.
    if (kept.page && new URL(kept.page).origin === location.origin) history.replaceState(null, "", kept.page);
    document.body.append(form);
    form.submit();
  };

  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });

  const whereStored = (read) => {
    try {
      return read();
    } catch {
      return null; // nothing may be stored here, so nothing was
    }
  };
  const another = document.getElementById("another");
  const sendOnce = () => {
    const kept = whereStored(take);
    another.hidden = true;
    status.textContent = kept ? view.dataset.sending : view.dataset.gone;
    if (!kept) return;
    document.getElementById("back").hidden = true;
    send(kept);
  };

  const visitor = whereStored(find)?.visitor;
  if (!visitor || visitor === view.dataset.visitor) {
    sendOnce();
    return;
  }
  status.textContent = view.dataset.another;
  another.hidden = false;
  document.getElementById("send").addEventListener("click", sendOnce);
})();
