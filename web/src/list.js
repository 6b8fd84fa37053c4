// The films: a grid, a series' episodes, and what to do when there is nothing.
import * as api from "./api.js";
import { announce, el } from "./dom.js";

const hue = (text) => [...text].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 360, 7);

function card(show) {
  const { info } = show, series = Array.isArray(show.episodes);
  const facts = [series ? `${show.episodes.length} episode${show.episodes.length === 1 ? "" : "s"}` : "Film", info.year].filter(Boolean).join(" · ");
  const poster = el("span", { class: "poster" }, el("b", {}, info.title));
  poster.style.setProperty("--hue", hue(info.title));
  const href = series ? `#/show/${info.id}` : `#/watch/${show.video_id}`;
  return el("li", {}, el("a", { class: "card", href }, poster, el("small", {}, facts)));
}

function nothing(search) {
  if (search) return el("p", { class: "empty" }, `Nothing is called “${search}”.`);
  return el("p", { class: "empty" }, "No films yet. Name a folder: ", el("code", {}, "headwater serve --target-path DIR"),
    ", or ", el("code", {}, "library.paths"), " in the configuration.");
}

export async function films(content, search, signal) {
  const found = await api.shows(search, signal);
  const heading = el("h1", { tabindex: "-1" }, search ? `Found for “${search}”` : "Films and series",
    el("span", { class: "count" }, String(found.length)));
  content.replaceChildren(heading, found.length ? el("ul", { class: "grid" }, ...found.map(card)) : nothing(search));
  document.title = "Headwater";
  announce(`${found.length} found`);
}

export async function episodes(content, id, signal) {
  const show = await api.show(id, signal);
  document.title = `${show.info.title} · Headwater`;
  content.replaceChildren(
    el("h1", { tabindex: "-1" }, show.info.title, el("span", { class: "count" }, show.info.year ?? "")),
    el("ul", { class: "episodes" }, ...(show.episodes ?? []).map((episode) =>
      el("li", {}, el("a", { class: "card", href: `#/watch/${episode.video_id}` },
        el("b", {}, episode.index), el("span", {}, episode.title || `Episode ${episode.index}`))))));
}
