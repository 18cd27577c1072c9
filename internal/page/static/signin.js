// Only makes forms quicker to use: without it they work all the same.
(() => {
  "use strict";

  const password = document.getElementById("password");
  const reveal = document.getElementById("reveal");

  const texts = reveal && { show: reveal.textContent, showLabel: reveal.getAttribute("aria-label"), ...reveal.dataset };

  const show = (shown) => {
    password.type = shown ? "text" : "password";
    reveal.textContent = shown ? texts.hide : texts.show;
    reveal.setAttribute("aria-label", shown ? texts.hideLabel : texts.showLabel);
  };

  if (password && reveal) {
    reveal.hidden = false;
    reveal.addEventListener("click", () => {
      show(password.type === "password");
      password.focus();
    });
  }

  for (const form of document.querySelectorAll("form")) {
    const button = form.querySelector("button[type=submit]");
    const label = button.textContent;
    let timer;

    const release = () => {
      clearTimeout(timer);
      button.disabled = false;
      button.textContent = label;
    };

    form.addEventListener("submit", (event) => {
      if (button.disabled) {
        event.preventDefault();
        return;
      }
      // Password managers save only what is a password when it is sent.
      if (password && reveal) show(false);
      button.disabled = true;
      button.textContent = button.dataset.busy || label;
      // An application's own scheme leaves this page where it is.
      timer = setTimeout(release, 10000);
    });

    // Back from the next page, this one is as it was left.
    addEventListener("pageshow", release);
  }
})();
