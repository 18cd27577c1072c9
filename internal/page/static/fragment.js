// Carries the fragment of the page first asked for, which redirects hand on but
// links and forms do not. No server ever sees it.
(() => {
  "use strict";

  if (!location.hash) return;
  for (const link of document.querySelectorAll("a[data-fragment]")) link.hash = location.hash;
  for (const form of document.querySelectorAll("form[data-fragment]")) form.action += location.hash;
})();
