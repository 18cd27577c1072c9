// This page answered a form. Whoever presses the button before the browser has
// led on keeps it in their history, where going back would send the form again:
// asking for its address is enough.
"use strict";
history.replaceState(null, "", location.href);
