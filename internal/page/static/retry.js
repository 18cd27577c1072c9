// Tries again, by itself or by the button: at the address that the button has, or
// else at this page's own, with the fragment that the link would lose.
(() => {
  "use strict";

  const button = document.getElementById("retry");
  const elsewhere = button.getAttribute("href");
  const again = () => (elsewhere ? location.replace(button.href) : location.reload());
  setTimeout(again, button.dataset.after * 1000);
  button.addEventListener("click", (event) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    again();
  });
})();
