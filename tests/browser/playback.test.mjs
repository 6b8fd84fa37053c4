// Real players in a real browser: hls.js (fMP4 and TS) and dash.js play through, seek at random, and show the right second.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SECONDS, secondOf } from "./film.mjs";
import { barePlayer, keep, percentile, picture, quality, seek, startBrowser, startServer } from "./harness.mjs";

const SEEKS = Number(process.env.HEADWATER_SEEKS ?? 200);
let server, browser;

before(async () => { server = await startServer(); browser = await startBrowser(); });
after(async () => { await browser?.close(); await server?.stop(); });

async function rightSecond(page, to) {
  const shown = await picture(page);
  assert.equal(secondOf(shown), Math.floor(to), `the second of the picture at ${to} s, which is ${shown.map(Math.round)}`);
}

// A seeded generator: a failure names its seek, and the same seeks come again.
function random(seed) {
  return () => { seed = (seed * 1664525 + 1013904223) >>> 0; return seed / 2 ** 32; };
}

async function seeks(page, count, seed) {
  const next = random(seed), took = [];
  for (let n = 0; n < count; n++) {
    // Inside a second, a frame away from its edges: the colour is then certain.
    const to = Math.floor(next() * (SECONDS - 1)) + 0.1 + next() * 0.8;
    took.push((await seek(page, to)).took);
    await rightSecond(page, to);
  }
  return took;
}

const openHls = (page, src) => page.evaluate((src) => new Promise((done, fail) => {
  const hls = new Hls({ enableWorker: false }), video = document.querySelector("video");
  window.hls = hls; window.errors = []; window.waited = 0;
  let since = null;
  video.addEventListener("waiting", () => { since = performance.now(); });
  video.addEventListener("playing", () => { if (since !== null) window.waited += performance.now() - since; since = null; });
  hls.on(Hls.Events.ERROR, (_, data) => { window.errors.push(`${data.type} ${data.details}`); if (data.fatal) fail(new Error(data.details)); });
  video.addEventListener("loadeddata", () => done(), { once: true });
  setTimeout(() => fail(new Error(`no first frame after 15 s: ${window.errors}`)), 15_000);
  hls.loadSource(src); hls.attachMedia(video);
}), src);

const playThrough = (page, rate) => page.evaluate((rate) => new Promise((done, fail) => {
  const video = document.querySelector("video");
  video.playbackRate = rate; video.currentTime = 0;
  video.addEventListener("ended", () => done(), { once: true });
  setTimeout(() => fail(new Error(`not ended after 60 s: at ${video.currentTime}`)), 60_000);
  video.play().catch(fail);
}), rate);

for (const [file, container] of [["colours.mkv", "fmp4"], ["colours.mp4", "fmp4"], ["colours.mkv", "ts"], ["colours.mp4", "ts"]]) {
  test(`hls.js plays ${file} as ${container} through and seeks at random`, async () => {
    const page = await barePlayer(browser, server.url, "hls");
    await openHls(page, `/api/v1/video/${server.videos.get(file)}/master.m3u8?container=${container}`);
    const took = await seeks(page, container === "ts" ? Math.ceil(SEEKS / 4) : SEEKS, 7);
    const seekEnd = await quality(page);
    await playThrough(page, 2);
    const end = await quality(page), { waited, errors } = await page.evaluate(() => ({ waited: window.waited, errors: window.errors }));
    keep(`hls-${file}-${container}.json`, { seeks: took.length, seek_ms: { p50: percentile(took, 50), p95: percentile(took, 95), max: Math.max(...took) },
      dropped_while_seeking: seekEnd.dropped, frames: end.total, dropped: end.dropped, waiting_ms: waited, errors });
    assert.ok(end.ended && end.error === null);
    assert.ok(Math.abs(end.duration - SECONDS) < 0.1, `duration ${end.duration}`);
    assert.deepEqual(errors.filter((e) => !/aborted|bufferStalled|bufferNudge|bufferSeekOverHole/.test(e)), []);
    await page.close();
  });
}

test("hls.js switches between the audio tracks that it can decode, and shows subtitles", async () => {
  const page = await barePlayer(browser, server.url, "hls");
  await openHls(page, `/api/v1/video/${server.videos.get("colours.mkv")}/master.m3u8`);
  const tracks = await page.evaluate(() => hls.allAudioTracks.map((t) => t.lang));
  assert.ok(tracks.includes("en") && tracks.includes("de"), `audio: ${tracks}`);
  await page.evaluate(() => new Promise((done, fail) => {
    hls.on(Hls.Events.AUDIO_TRACK_SWITCHED, () => done());
    setTimeout(() => fail(new Error("no audio switch in 10 s")), 10_000);
    hls.audioTrack = hls.audioTracks.findIndex((t) => t.lang === "de");
    document.querySelector("video").play();
  }));
  const cue = await page.evaluate(() => new Promise((done, fail) => {
    hls.subtitleTrack = 0; hls.subtitleDisplay = true;
    const video = document.querySelector("video");
    video.currentTime = 20.5;
    const look = setInterval(() => {
      const active = [...video.textTracks].flatMap((t) => [...(t.activeCues ?? [])]).map((c) => c.text);
      if (active.length) { clearInterval(look); done(active[0]); }
    }, 50);
    setTimeout(() => fail(new Error("no cue in 10 s")), 10_000);
  }));
  assert.match(cue, /^second 2\d/);
  await page.close();
});

// dash.js now and then loses a seek that comes while it is busy with the one before, and asks for nothing any more: it is
// given a moment between seeks, and asked again, which is counted.
async function patientSeeks(page, count, seed) {
  const next = random(seed), took = [];
  let again = 0;
  for (let n = 0; n < count; n++) {
    const to = Math.floor(next() * (SECONDS - 1)) + 0.1 + next() * 0.8;
    for (let tries = 0; ; tries++) {
      await page.waitForTimeout(150);
      try {
        took.push((await seek(page, to + tries * 1e-3, 4_000)).took);
        break;
      } catch (error) {
        if (tries === 4) throw error;
        again++;
      }
    }
    await rightSecond(page, to);
  }
  assert.ok(again <= count / 4, `${again} of ${count} seeks had to be asked again`);
  return { took, again };
}

test("dash.js plays the same segments and seeks at random", async () => {
  const page = await barePlayer(browser, server.url, "dash");
  await page.evaluate((src) => new Promise((done, fail) => {
    const player = dashjs.MediaPlayer().create(), video = document.querySelector("video");
    window.player = player; window.errors = [];
    player.on("error", (e) => window.errors.push(JSON.stringify(e.error?.message ?? e.error)));
    video.addEventListener("loadeddata", () => done(), { once: true });
    setTimeout(() => fail(new Error(`no first frame after 15 s: ${window.errors}`)), 15_000);
    player.initialize(video, src, false);
  }), `/api/v1/video/${server.videos.get("colours.mp4")}/manifest.mpd`);
  await playThrough(page, 2);
  const end = await quality(page);
  const { took, again } = await patientSeeks(page, Math.ceil(SEEKS / 8), 11);
  keep("dash.json", { seeks: took.length, asked_again: again, seek_ms: { p50: percentile(took, 50), p95: percentile(took, 95) }, frames: end.total, dropped: end.dropped });
  assert.deepEqual(await page.evaluate(() => window.errors), []);
  await page.close();
});

test("the page lists the films and plays one a click later", async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const complaints = [];
  page.on("console", (m) => { if (m.type() === "error") complaints.push(m.text()); });
  page.on("pageerror", (e) => complaints.push(String(e)));
  await page.goto(server.url);
  const film = page.getByText("colours", { exact: false }).first();
  await film.waitFor();
  keep("films.png", await page.screenshot());
  await page.evaluate(() => {
    addEventListener("click", () => { window.clicked ??= performance.now(); }, { capture: true });
    const watch = new MutationObserver(() => {
      const video = document.querySelector("video");
      if (!video || window.watched) return;
      window.watched = true;
      video.requestVideoFrameCallback(() => { window.firstFrame = performance.now(); });
    });
    watch.observe(document, { childList: true, subtree: true });
    const video = document.querySelector("video");
    if (video) { window.watched = true; video.requestVideoFrameCallback(() => { window.firstFrame = performance.now(); }); }
  });
  await film.click();
  await page.waitForFunction(() => window.firstFrame !== undefined, null, { timeout: 15_000 });
  const click = await page.evaluate(() => window.firstFrame - window.clicked);
  await page.waitForFunction(() => document.querySelector("video").currentTime > 2.2, null, { timeout: 15_000 });
  const at = await page.evaluate(() => { const v = document.querySelector("video"); v.pause(); return v.currentTime; });
  const shown = await picture(page);
  keep("playing.png", await page.screenshot());
  keep("click.json", { click_to_first_frame_ms: click });
  assert.ok([at, at - 0.1, at + 0.1].some((t) => Math.floor(t) === secondOf(shown)), `at ${at} s the picture is ${shown}`);
  assert.deepEqual(complaints, []);
  await page.close();
});
