// This page answered a form.
(() => {
  "use strict";

  // Whoever presses the button before the browser has led on keeps this page in
  // their history, where going back would send the form again: asking for its
  // address is enough.
  history.replaceState(null, "", location.href);

  // The fragment came here with the form. The refresh, which would lose it,
  // comes after this.
  const link = document.getElementById("continue");
  if (!location.hash || link.hash) return;
  link.hash = location.hash;
  location.replace(link.href);
})();
