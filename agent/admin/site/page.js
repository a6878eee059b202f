// Brings the page up to date every two seconds: the agent renders it anew, and the parts that changed are put in place.
"use strict";

const EVERY = 2000;
const PATIENCE = 5000;
const pause = document.getElementById("pause");
let paused = false;

function local(root) {
  for (const time of root.querySelectorAll("time")) {
    time.title = time.dateTime;
    time.textContent = new Date(time.dateTime).toLocaleTimeString();
  }
}

function selecting(part) {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(part, true);
}

function put(next) {
  document.title = next.title;
  const main = document.querySelector("main");
  const parts = [...next.querySelectorAll("#top, main > section")];
  const ids = new Set(parts.map((part) => part.id));
  for (const old of main.querySelectorAll(":scope > section")) {
    if (!ids.has(old.id)) old.remove();
  }
  let before = null;
  for (const part of parts) {
    const old = document.getElementById(part.id);
    local(part);
    let there = old;
    if (old === null) {
      there = document.adoptNode(part);
      if (before === null) main.prepend(there); else before.after(there);
    } else if (!old.isEqualNode(part) && !selecting(old)) {
      const scrolled = [...old.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
      there = document.adoptNode(part);
      old.replaceWith(there);
      there.querySelectorAll(".scroll").forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
    }
    if (there.id !== "top") before = there;
  }
}

async function turn() {
  if (!paused && !document.hidden) {
    let there = false;
    try {
      const answer = await fetch("./", { signal: AbortSignal.timeout(PATIENCE) });
      there = answer.ok;
      if (there) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      there = false;
    }
    document.getElementById("away").hidden = there;
  }
  setTimeout(turn, EVERY);
}

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Go on" : "Pause";
});
local(document);
setTimeout(turn, EVERY);
