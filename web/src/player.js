// One film, playing: hls.js where there are media sources, the browser's own HLS where there are none.
import Hls from "hls.js";
import * as api from "./api.js";
import { decodable } from "./codecs.js";
import { announce, el } from "./dom.js";

// A slow disk or a piece that is still on its way is waited for. A server that is being started again, or that knows nobody who
// has the bytes (503), is asked again until it answers: only what it refuses for good stops a film.
const again = {
  maxNumRetry: 600, retryDelayMs: 1_000, maxRetryDelayMs: 3_000, backoff: "linear",
  shouldRetry: (retry, count, _late, response) => {
    const status = response?.code ?? 0;
    return count < retry.maxNumRetry && (status < 400 || status === 408 || status === 429 || status >= 500);
  },
};
const patient = {
  default: { maxTimeToFirstByteMs: Infinity, maxLoadTimeMs: 120_000, timeoutRetry: again, errorRetry: again },
};
const CONFIG = {
  enableWorker: false,
  startFragPrefetch: true,
  maxBufferLength: 30,
  backBufferLength: 60,
  fragLoadPolicy: patient,
  manifestLoadPolicy: patient,
  playlistLoadPolicy: patient,
};

const language = (code) => {
  if (!code) return null;
  try {
    return new Intl.DisplayNames(undefined, { type: "language" }).of(code);
  } catch {
    return code;
  }
};
const trackName = (track, n) => {
  const spoken = language(track.lang), said = [track.lang, spoken].includes(track.name) ? null : track.name;
  return [spoken, said].filter(Boolean).join(" · ") || `Track ${n + 1}`;
};
const time = (seconds) => {
  const s = Math.round(seconds), parts = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60];
  return (parts[0] ? parts : parts.slice(1)).map((n, i) => (i ? String(n).padStart(2, "0") : n)).join(":");
};
const size = (bytes) => {
  const power = Math.min(4, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power > 1 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
};

/** A labelled choice; hidden while there is nothing to choose. */
function choice(label, change) {
  const select = el("select", { onchange: () => change(Number(select.value)) });
  const box = el("label", { hidden: true }, label, select);
  const fill = (options, chosen, least = 2) => {
    select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
    select.value = String(chosen);
    box.hidden = options.length < least;
  };
  return { box, fill, select };
}

/** Shows the film in `content`; gives a function that ends it. */
export function watch(content, id, signal) {
  const base = api.videoBase(id), codecs = decodable();
  const master = `${base}/master.m3u8?codecs=${encodeURIComponent(codecs)}`;
  const heading = el("h1", { tabindex: "-1" }, "…");
  const video = el("video", { controls: true, playsinline: "", preload: "auto" });
  const wait = el("p", { class: "wait", hidden: true }, "Loading");
  const stage = el("div", { class: "stage" }, video, wait);
  const errors = el("div", { role: "alert" });
  const facts = el("p", { class: "facts" });
  let hls = null;

  const audio = choice("Sound", (n) => { hls.audioTrack = n; });
  const subtitles = choice("Subtitles", (n) => { hls.subtitleTrack = n; hls.subtitleDisplay = n >= 0; });
  const quality = choice("Quality", (n) => { hls.currentLevel = n; });
  const links = el("div", {},
    el("a", { class: "button", href: `${base}/file`, download: "" }, "Download the file"));
  content.replaceChildren(el("section", { class: "player" },
    heading, stage, errors,
    el("div", { class: "controls" }, audio.box, subtitles.box, quality.box, links), facts,
    el("p", { class: "keys" }, ...[["Space", "play"], ["← →", "5 s"], ["J L", "10 s"], ["F", "full screen"], ["M", "mute"], ["C", "subtitles"], ["Esc", "back"]]
      .flatMap(([key, does]) => [el("kbd", {}, key), ` ${does}  `]))));

  const fail = (title, detail) => {
    wait.hidden = true;
    if (!video.currentTime) stage.hidden = true;
    errors.replaceChildren(el("div", { class: "error" }, el("b", {}, title), el("p", {}, detail),
      el("p", {}, "Other players (VLC, mpv) can open the file itself: ", el("a", { href: `${base}/file` }, `${location.origin}${base}/file`))));
  };
  video.addEventListener("waiting", () => { wait.hidden = false; });
  for (const event of ["playing", "seeked", "canplay", "loadeddata"]) video.addEventListener(event, () => { wait.hidden = true; wait.textContent = "Loading"; });
  video.addEventListener("error", () => {
    if (!hls && video.error) fail("This browser cannot play it", video.error.message || `media error ${video.error.code}`);
  });
  const play = () => video.play().catch(() => { /* a browser that wants a tap first shows its own button */ });

  if (Hls.isSupported()) {
    hls = new Hls(CONFIG);
    hls.on(Hls.Events.MANIFEST_PARSED, (_, data) => {
      quality.fill([[-1, "Automatic"], ...data.levels.map((level, n) => [n, `${level.height ? `${level.height}p` : "Sound only"} · ${(level.bitrate / 1e6).toFixed(1)} Mb/s`])], -1, 3);
      play();
    });
    hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, () => audio.fill(hls.audioTracks.map((t, n) => [n, trackName(t, n)]), hls.audioTrack));
    hls.on(Hls.Events.AUDIO_TRACK_SWITCHED, () => { audio.select.value = String(hls.audioTrack); });
    hls.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, () => subtitles.fill([[-1, "Off"], ...hls.subtitleTracks.map((t, n) => [n, trackName(t, n)])], hls.subtitleTrack));
    hls.on(Hls.Events.SUBTITLE_TRACK_SWITCH, () => { subtitles.select.value = String(hls.subtitleTrack); });
    let recovered = 0;
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (!data.fatal) return void (data.type === Hls.ErrorTypes.NETWORK_ERROR && tell(data));
      // Nobody's film stops for want of its subtitles.
      if (data.frag?.type === "subtitle" || data.details.startsWith("subtitle")) {
        hls.subtitleTrack = -1;
        announce("The subtitles could not be loaded");
        return void hls.startLoad();
      }
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && recovered++ < 2) return void hls.recoverMediaError();
      explain(data.frag?.url ?? data.url ?? master, data.details, data.error?.message);
    });
    hls.loadSource(master);
    hls.attachMedia(video);
  } else if (video.canPlayType("application/vnd.apple.mpegurl")) {
    video.src = master;
    play();
  } else {
    fail("This browser plays no streams", "It has neither media source extensions nor HLS.");
  }

  // Why it waits, while it is asked again.
  function tell(data) {
    const status = data.response?.code ?? 0;
    if (status && status < 500) return;
    wait.textContent = status ? api.problemIn(data.networkDetails?.response)?.detail ?? "Not here yet" : "The server does not answer";
    wait.hidden = video.readyState > 2 && !video.paused;
  }

  // hls.js knows only the status of a failed request; the server's reason is in its body.
  async function explain(url, details, message) {
    const problem = await api.problemAt(url, signal);
    if (signal.aborted) return;
    fail(problem?.title ?? "Playback stopped", problem?.message ?? [details, message].filter(Boolean).join(" · "));
  }

  api.untilAnswered(() => api.video(id, codecs, signal), signal).then((info) => {
    heading.textContent = info.title;
    document.title = `${info.title} · Headwater`;
    const picture = info.tracks.find((t) => t.kind === "video");
    facts.textContent = [
      info.file, size(info.size), info.duration && time(info.duration),
      picture && `${picture.codec} ${picture.width}×${picture.height}`, info.decision?.reason,
    ].filter(Boolean).join(" · ");
    if (info.decision?.mode === "refused") fail("It cannot be played here", info.decision.reason);
    announce(`Playing ${info.title}`);
  }, (error) => {
    if (error.name !== "AbortError") fail(error.title ?? "It cannot be played", error.message);
  });

  const seek = (by) => { video.currentTime = Math.max(0, Math.min(video.currentTime + by, video.duration || Infinity)); };
  const keys = {
    " ": () => (video.paused ? play() : video.pause()),
    k: () => (video.paused ? play() : video.pause()),
    ArrowLeft: () => seek(-5), ArrowRight: () => seek(5), j: () => seek(-10), l: () => seek(10),
    ArrowUp: () => { video.volume = Math.min(1, video.volume + 0.05); }, ArrowDown: () => { video.volume = Math.max(0, video.volume - 0.05); },
    m: () => { video.muted = !video.muted; },
    f: () => (document.fullscreenElement ? document.exitFullscreen() : video.requestFullscreen?.()),
    c: () => {
      if (!hls?.subtitleTracks.length) return;
      hls.subtitleTrack = hls.subtitleTrack < 0 ? 0 : -1;
      hls.subtitleDisplay = hls.subtitleTrack >= 0;
    },
    Home: () => { video.currentTime = 0; },
    End: () => { if (Number.isFinite(video.duration)) video.currentTime = video.duration; },
    Escape: () => { if (!document.fullscreenElement) location.hash = "#/"; },
  };
  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (target.closest?.("input, select, a, button") && event.key !== "Escape") return;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key]
      ?? (/^[0-9]$/.test(event.key) && (() => { video.currentTime = video.duration * Number(event.key) / 10; }));
    if (!act) return;
    event.preventDefault();
    act();
  };
  // Before the video's own controls see the key, or it would act twice.
  document.addEventListener("keydown", onKey, { capture: true });
  heading.focus({ preventScroll: true });

  return () => {
    document.removeEventListener("keydown", onKey, { capture: true });
    hls?.destroy();
    video.removeAttribute("src");
    video.load();
  };
}
