// Loads this page again with its fragment, which the link would lose.
(() => {
  "use strict";

  document.getElementById("retry").addEventListener("click", (event) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    location.reload();
  });
})();
