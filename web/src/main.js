// Which view is shown: the address after # decides, so that back, reload and links work.
import { el } from "./dom.js";
import { episodes, films, torrent } from "./list.js";

const content = document.getElementById("content");
const search = document.getElementById("search");
const player = () => import("./player.js");
let leave = () => {};
let generation = 0;

async function route() {
  leave();
  const mine = ++generation, abort = new AbortController();
  leave = () => abort.abort();
  const [, view = "", rest = ""] = location.hash.match(/^#\/?([^/?]*)\/?(.*)$/) ?? [];
  const argument = decodeURIComponent(rest.replace(/^\?q=/, ""));
  try {
    if (view === "watch") {
      const { watch } = await player();
      if (mine !== generation) return;
      const end = watch(content, argument, abort.signal);
      leave = () => { abort.abort(); end(); };
      window.scrollTo(0, 0);
      return;
    }
    if (view === "show") await episodes(content, argument, abort.signal);
    else if (view === "torrent") await torrent(content, argument, abort.signal);
    else await films(content, view === "search" ? argument : "", abort.signal);
  } catch (error) {
    if (error.name === "AbortError" || mine !== generation) return;
    content.replaceChildren(el("div", { class: "error", role: "alert" }, el("b", {}, error.title ?? "That did not work"),
      el("p", {}, error.message), el("button", { class: "button", onclick: route }, "Try again")));
  }
}

addEventListener("hashchange", route);
document.getElementById("search-form").addEventListener("submit", (event) => event.preventDefault());
let typed;
search.addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(() => {
    location.hash = search.value.trim() ? `#/search/${encodeURIComponent(search.value.trim())}` : "#/";
  }, 150);
});
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest?.("input, select")) {
    event.preventDefault();
    search.focus();
  }
});

// The library tells when it changed; the list follows, an open film is left alone.
const events = new EventSource("/api/v1/events");
let known = null;
events.addEventListener("library", (event) => {
  if (known !== null && known !== event.data && !/^#\/watch\//.test(location.hash)) route();
  known = event.data;
});
events.addEventListener("open", () => { document.getElementById("offline").hidden = true; });
events.addEventListener("error", () => { document.getElementById("offline").hidden = false; });

route();
// The player comes while nobody waits for it.
(globalThis.requestIdleCallback ?? setTimeout)(() => player().catch(() => {}));
