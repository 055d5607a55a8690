// Live updates: when the server says that something is new, the page is fetched again and its marked parts are put in
// place. Everything works without this script; it renders nothing by itself.
"use strict";
(() => {
  const word = document.getElementById("live-word");
  const box = document.getElementById("live");
  const control = document.getElementById("live-switch");
  const announcer = document.getElementById("announcer");
  // The answer to a form is no place to come back to: fetching its address again would be something else.
  if (!window.EventSource || !box || document.body.dataset.method !== "GET" || location.pathname === "/login") return;

  let source = null;
  let fetching = false;
  let again = false;

  const say = (text, state) => {
    word.textContent = text;
    box.dataset.state = state;
  };

  // Where the keyboard is, so that it is there afterwards: an id, or a link by its address.
  const placeOf = (element) => {
    if (!element || element === document.body) return null;
    if (element.id) return `#${CSS.escape(element.id)}`;
    if (element.matches("summary") && element.parentElement.id) return `#${CSS.escape(element.parentElement.id)} > summary`;
    const address = element.getAttribute("href");
    return address ? `a[href="${CSS.escape(address)}"]` : null;
  };

  const put = (fresh) => {
    const waiting = document.getElementById("awaiting");
    const newer = fresh.getElementById("awaiting");
    if (waiting && newer) document.getElementById("overtaken").hidden = waiting.dataset.awaiting === newer.dataset.awaiting;
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next) continue;
      if (part.id === "announcement") {
        if (part.dataset.text !== next.dataset.text) {
          part.dataset.text = next.dataset.text;
          announcer.textContent = next.dataset.text;
        }
        continue;
      }
      // A form that somebody is filling in is left alone until they are elsewhere.
      if (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) continue;
      const open = new Map([...part.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
      for (const one of next.querySelectorAll("details[id]")) {
        if (open.has(one.id)) one.open = open.get(one.id);
      }
      if (part.innerHTML === next.innerHTML) continue;
      const focus = part.contains(document.activeElement) ? placeOf(document.activeElement) : null;
      const scrolled = [...part.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
      part.replaceChildren(...next.childNodes);
      [...part.querySelectorAll(".scroll")].forEach((one, at) => {
        if (scrolled[at]) [one.scrollLeft, one.scrollTop] = scrolled[at];
      });
      if (focus) (part.querySelector(focus) || document.getElementById("main")).focus({ preventScroll: true });
    }
  };

  const refresh = async () => {
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (new URL(answer.url).pathname === "/login") {
        stop("signed out", "off");
        return;
      }
      if (answer.status >= 500) throw new Error(`status ${answer.status}`);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (fresh.body.dataset.code !== document.body.dataset.code) {
        location.replace(location.href); // what it showed is gone, or is there now
        return;
      }
      put(fresh);
      document.documentElement.dataset.refreshed = String(Number(document.documentElement.dataset.refreshed || 0) + 1);
      if (source) say("live", "on");
    } catch (error) {
      say("out of date", "off");
    } finally {
      fetching = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };

  const stop = (text, state) => {
    if (source) source.close();
    source = null;
    say(text, state);
    control.textContent = "Resume updates";
  };

  const start = () => {
    source = new EventSource("/live");
    say("connecting", "wait");
    control.textContent = "Pause updates";
    source.addEventListener("open", () => say("live", "on"));
    source.addEventListener("changed", refresh);
    source.addEventListener("error", () => {
      if (!source) return;
      if (source.readyState === EventSource.CLOSED) stop("no updates", "off");
      else say("reconnecting", "wait");
    });
  };

  control.addEventListener("click", () => (source ? stop("paused", "off") : start()));
  // A page in the back-forward cache would keep its stream; one that comes back begins a new one.
  window.addEventListener("pagehide", () => source && source.close());
  window.addEventListener("pageshow", (event) => event.persisted && source && start());
  box.hidden = false;
  control.hidden = false;
  start();
})();
