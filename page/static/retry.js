// Loads this page again, by itself or by its button, with the fragment that the
// link would lose.
(() => {
  "use strict";

  const button = document.getElementById("retry");
  setTimeout(() => location.reload(), button.dataset.after * 1000);
  button.addEventListener("click", (event) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    location.reload();
  });
})();
