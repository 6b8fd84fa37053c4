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

/** What of a torrent can be watched: episodes in their order, the rest by path, extras last. */
function playable(torrent) {
  const order = (file) => `${file.kind === "extra" ? 1 : 0} ${file.episode ?? "~"} ${file.path}`;
  return (torrent.files ?? []).filter((file) => file.playable && file.kind !== "sample")
    .sort((a, b) => order(a).localeCompare(order(b), undefined, { numeric: true }));
}

/** An episode's own title, where its index stands beside it. */
const short = (file) => (file.episode && file.title.split(` ${file.episode}`)[1]?.trim()) || file.title;

function torrentItem(torrent) {
  const count = playable(torrent).length, name = torrent.name ?? torrent.info_hash;
  const facts = torrent.files ? `${count} file${count === 1 ? "" : "s"} to play` : "its files are not known yet";
  // One film is played at once.
  const href = count === 1 ? `#/watch/${torrent.default_video}` : `#/torrent/${torrent.info_hash}`;
  return el("li", {}, el("a", { class: "card", href }, el("span", {}, name), el("small", {}, facts)));
}

function torrentList(torrents) {
  if (!torrents.length) return [];
  return [el("h2", {}, "Torrents"), el("ul", { class: "episodes" }, ...torrents.map(torrentItem))];
}

export async function torrent(content, hash, signal) {
  const torrent = await api.torrent(hash, signal);
  const files = playable(torrent), name = torrent.name ?? torrent.info_hash;
  const about = torrent.files ? "Nothing in it can be played." : `Its files are not known yet: ${torrent.reason ?? "somebody has to send their list"}.`;
  document.title = `${name} · Headwater`;
  content.replaceChildren(
    el("h1", { tabindex: "-1" }, name, el("span", { class: "count" }, String(files.length))),
    files.length === 0 ? el("p", { class: "empty" }, about) : el("ul", { class: "episodes" }, ...files.map((file) =>
      el("li", {}, el("a", { class: "card", href: `#/watch/${file.video_id}` },
        el("b", {}, file.episode ?? (file.kind === "extra" ? "Extra" : file.year)), el("span", {}, short(file)))))));
}

export async function films(content, search, signal) {
  const [found, torrents] = await Promise.all([api.shows(search, signal), search ? [] : api.torrents(signal)]);
  const heading = el("h1", { tabindex: "-1" }, search ? `Found for “${search}”` : "Films and series",
    el("span", { class: "count" }, String(found.length)));
  const grid = found.length ? [el("ul", { class: "grid" }, ...found.map(card))] : torrents.length ? [] : [nothing(search)];
  content.replaceChildren(heading, ...grid, ...torrentList(torrents));
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
