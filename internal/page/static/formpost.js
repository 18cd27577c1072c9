// Submits the form of this page. It comes before the page is complete, so that the
// answer takes this page's place in the history.
(() => {
  "use strict";

  // A field may be called submit.
  HTMLFormElement.prototype.submit.call(document.getElementById("form-post"));
})();
