// Starts the server over the test's films and Debian's Chromium in front of it.
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { makeFilms, makeReel } from "./film.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");
const require = createRequire(import.meta.url);

const freePort = () => new Promise((done, fail) => {
  const server = createServer().once("error", fail);
  server.listen(0, "127.0.0.1", () => { const { port } = server.address(); server.close(() => done(port)); });
});

/** A running server: `{ url, stop, videos }`, `videos` by file name. */
export async function startServer() {
  const films = resolve(process.env.HEADWATER_BROWSER_FILMS ?? join(root, "target/browser-films"));
  makeFilms(films);
  const scratch = mkdtempSync(join(tmpdir(), "headwater-browser-"));
  const port = await freePort();
  const child = spawn(binary, ["serve", "--host", "127.0.0.1", "--port", String(port), "--target-path", films,
    "--cache-path", join(scratch, "cache"), "--data-dir", join(scratch, "data"),
    "--no-dht", "--no-lsd", "--no-upnp"], { env: { ...process.env, HEADWATER_TRANSCODE: "false" }, stdio: ["ignore", "inherit", "inherit"] });
  const ended = new Promise((done) => child.once("exit", done));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => { child.kill("SIGTERM"); await ended; rmSync(scratch, { recursive: true, force: true }); };
  for (let tries = 0; ; tries++) {
    try {
      const videos = await listVideos(url);
      if (videos.size >= 2) return { url, stop, videos };
    } catch (error) {
      if (tries > 200) { await stop(); throw error; }
    }
    if (tries > 400) { await stop(); throw new Error("the server lists no films"); }
    await new Promise((done) => setTimeout(done, 50));
  }
}

const binary = resolve(process.env.HEADWATER_BIN ?? join(root, "target/release/headwater"));

/** A film that only seeders have, and a server beside them: `{ url, id, magnet, seeders, kill, start, stop, json }`. */
export async function startSwarm({ seeders: count, rate }) {
  const reel = makeReel(resolve(process.env.HEADWATER_BROWSER_FILMS ?? join(root, "target/browser-films"), "swarm"));
  const scratch = mkdtempSync(join(tmpdir(), "headwater-swarm-"));
  const seed = join(scratch, "seed"), torrent = join(scratch, "reel.torrent");
  mkdirSync(seed);
  copyFileSync(reel, join(seed, "reel.mkv"));
  const env = { PATH: process.env.PATH, HOME: scratch, HEADWATER_TRANSCODE: "false" };
  const made = JSON.parse(execFileSync(binary, ["create", join(seed, "reel.mkv"), "--json", "-o", torrent, "--piece-length", "65536"], { env }));
  const port = await freePort(), peerPort = await freePort(), url = `http://127.0.0.1:${port}`;
  const python = process.env.HEADWATER_LIBTORRENT_PYTHON ?? "/usr/bin/python3";

  const ends = (child) => new Promise((done) => child.once("exit", done));
  const startSeeder = async (at) => {
    const child = spawn(python, [join(root, "tests/swarm/libtorrent_peer.py"), "--listen", `127.0.0.1:${at}`, "--seed", "--torrent", torrent,
      "--save", seed, "--upload-limit", String(rate)], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = ends(child);
    await Promise.race([new Promise((done) => child.stdout.once("data", done)), ended]);
    child.stdout.resume();
    return { port: at, stop: async () => { child.kill("SIGKILL"); await ended; } };
  };
  const seeders = {
    all: [],
    start: async () => { seeders.all = await Promise.all(seeders.ports.map(startSeeder)); },
    stop: async () => { await Promise.all(seeders.all.splice(0).map((seeder) => seeder.stop())); },
    ports: [],
  };
  for (let n = 0; n < count; n++) seeders.ports.push(await freePort());
  await seeders.start();

  let server = null;
  const start = async () => {
    const child = spawn(binary, ["serve", "--host", "127.0.0.1", "--port", String(port), "--listen-port", String(peerPort), "--no-dht", "--no-lsd",
      "--no-upnp", "--download-dir", join(scratch, "films"), "--cache-path", join(scratch, "cache"), "--data-dir", join(scratch, "data")],
    { env, stdio: ["ignore", "inherit", "inherit"] });
    server = { child, ended: ends(child) };
    for (let tries = 0; tries < 300; tries++) {
      if (await fetch(`${url}/healthz`).then((answer) => answer.ok, () => false)) return;
      await new Promise((done) => setTimeout(done, 20));
    }
    throw new Error("the server does not start");
  };
  const kill = async () => { server.child.kill("SIGKILL"); await server.ended; };
  await start();
  const stop = async () => { await seeders.stop(); await kill(); rmSync(scratch, { recursive: true, force: true }); };
  const json = async (path) => (await fetch(`${url}/api/v1/torrents/${made.info_hash}${path}`)).json();
  const magnet = `magnet:?xt=urn:btih:${made.info_hash}` + seeders.ports.map((at) => `&x.pe=127.0.0.1:${at}`).join("");
  return { url, id: `${made.info_hash}-0`, magnet, seeders, start, kill, stop, json };
}

async function listVideos(url) {
  const videos = new Map();
  for (const show of await (await fetch(`${url}/api/v1/shows`)).json()) {
    if (!show.video_id) continue;
    const video = await (await fetch(`${url}/api/v1/video/${show.video_id}`)).json();
    videos.set(video.file, show.video_id);
  }
  return videos;
}

export async function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--mute-audio", "--autoplay-policy=no-user-gesture-required"],
  });
}

/** A page of the server's own origin that holds a bare `<video>` and the given player library as a global. */
export async function barePlayer(browser, url, library) {
  const page = await browser.newPage();
  const file = { hls: "hls.js/dist/hls.min.js", dash: "dashjs/dist/modern/umd/dash.all.min.js" }[library];
  const script = readFileSync(join(dirname(require.resolve("hls.js/package.json")), "..", file), "utf8");
  await page.route("**/__test/*", (route) => route.request().url().endsWith(".js")
    ? route.fulfill({ contentType: "text/javascript", body: script })
    : route.fulfill({ contentType: "text/html", body: "<!doctype html><video muted width=320 height=180></video><script src=/__test/player.js></script>" }));
  await page.goto(`${url}/__test/page`);
  return page;
}

/** The average colour of the picture on the screen, and how many pixels differ from black. */
export const picture = (page) => page.evaluate(() => {
  const video = document.querySelector("video"), canvas = document.createElement("canvas");
  canvas.width = 32; canvas.height = 18;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 32, 18);
  const { data } = context.getImageData(0, 0, 32, 18), sum = [0, 0, 0];
  for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c++) sum[c] += data[i + c];
  return sum.map((s) => s / (data.length / 4));
});

/** Seeks, waits until the frame of that place is on the screen: `{ took, time }` in milliseconds and seconds. */
export const seek = (page, to, patience = 10_000) => page.evaluate(([to, patience]) => new Promise((done, fail) => {
  const video = document.querySelector("video"), begin = performance.now();
  let took = null, shown = false;
  const late = setTimeout(() => { clearInterval(again); fail(new Error(`seek to ${to} s: no picture after ${patience} ms, at ${video.currentTime}, ready ${video.readyState}`)); }, patience);
  // A frame that is presented between two callbacks is never told of, and while paused no other follows: it is presented once more.
  const again = setInterval(() => { if (took !== null && !shown && video.readyState === 4) video.currentTime = to; }, patience / 4);
  const finish = () => { if (took !== null && shown) { clearTimeout(late); clearInterval(again); done({ took, time: video.currentTime }); } };
  // `seeked` may come before the compositor has the frame: the frame itself says which it is.
  const look = (_, frame) => {
    if (Math.abs(frame.mediaTime - to) > 0.06) return void video.requestVideoFrameCallback(look);
    shown = true; finish();
  };
  video.requestVideoFrameCallback(look);
  video.addEventListener("seeked", () => { took = performance.now() - begin; finish(); }, { once: true });
  video.currentTime = to;
}), [to, patience]);

export const quality = (page) => page.evaluate(() => {
  const video = document.querySelector("video"), q = video.getVideoPlaybackQuality();
  return { total: q.totalVideoFrames, dropped: q.droppedVideoFrames, time: video.currentTime, duration: video.duration,
    ended: video.ended, error: video.error?.message ?? null };
});

/** Keeps figures and pictures of a run for people to look at. */
export function keep(name, content) {
  const dir = join(here, "results");
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, name), typeof content === "string" || Buffer.isBuffer(content) ? content : JSON.stringify(content, null, 2) + "\n");
}

export const percentile = (values, p) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p / 100))];
