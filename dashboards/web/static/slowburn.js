// Keeps the numbers of a page fresh without losing the reader's place: every
// 20 seconds the page is fetched again and its live part replaced. What the
// reader has scrolled to, typed, opened or focused stays. Without this script the page
// reloads itself.
"use strict";

(() => {
  const period = 20000;
  const offline = document.getElementById("offline");

  function reading(live) {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && live.contains(selection.anchorNode);
  }

  async function refresh() {
    const live = document.getElementById("live");
    if (document.hidden || reading(live)) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error("status " + answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (!fresh) throw new Error("not a page of slowburn");
      const name = (e) => e.getAttribute("href") || e.parentElement.id;
      const focused = live.contains(document.activeElement) && name(document.activeElement);
      for (const d of live.querySelectorAll("details[open]")) {
        const same = page.getElementById(d.id);
        if (same) same.open = true;
      }
      live.replaceWith(document.adoptNode(fresh));
      document.title = page.title;
      if (focused) {
        const again = [...fresh.querySelectorAll("a[href], summary")].find((e) => name(e) === focused);
        if (again) again.focus({ preventScroll: true });
      }
      offline.hidden = true;
    } catch {
      offline.hidden = false;
    }
  }

  setInterval(refresh, period);
  document.addEventListener("visibilitychange", refresh);
})();
