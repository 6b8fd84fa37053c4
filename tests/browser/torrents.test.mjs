// The page over torrents: what of them can be played is listed under the names that the server reads.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { keep, startBrowser, startServer } from "./harness.mjs";

let server, browser;

before(async () => { server = await startServer(); browser = await startBrowser(); });
after(async () => { await browser?.close(); await server?.stop(); });

/** A `.torrent` of files that nobody has. */
function metainfo(name, files) {
  const text = (s) => `${Buffer.byteLength(s)}:${s}`;
  const list = files.map(([path, length]) => `d6:lengthi${length}e4:pathl${path.split("/").map(text).join("")}ee`).join("");
  const pieces = "x".repeat(20 * Math.ceil(files.reduce((sum, [, length]) => sum + length, 0) / 262144));
  return `d4:infod5:filesl${list}e4:name${text(name)}12:piece lengthi262144e6:pieces${text(pieces)}7:privatei1eee`;
}

async function add(torrent) {
  const form = new FormData();
  form.append("options", JSON.stringify({ paused: true }));
  form.append("torrent", new Blob([torrent]), "a.torrent");
  const answer = await fetch(`${server.url}/api/v1/torrents`, { method: "POST", body: form });
  assert.equal(answer.status, 201, await answer.clone().text());
  return answer.json();
}

test("the page lists a torrent's episodes in their order, extras last and no sample, and leads to each", async () => {
  const pack = await add(metainfo("The.Show.S01.<b>", [
    ["The.Show.S01E10.Ten.mkv", 300000], ["The.Show.S01E02.Two.mkv", 300000], ["Extras/Making Of.mkv", 900000],
    ["Sample/the.show.sample.mkv", 1000], ["show.nfo", 10]]));
  const film = await add(metainfo("Some.Film.2020", [["Some.Film.2020.mkv", 300000], ["read.me", 9]]));
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const complaints = [];
  page.on("console", (m) => { if (m.type() === "error") complaints.push(m.text()); });
  page.on("pageerror", (e) => complaints.push(String(e)));
  await page.goto(server.url);
  const torrent = page.getByText("The.Show.S01.<b>");
  await torrent.waitFor();
  keep("torrents.png", await page.screenshot());
  assert.equal(await page.locator(`a[href="#/watch/${film.info_hash}-0"]`).count(), 1);
  await torrent.click();
  await page.getByText("Making Of").waitFor();
  keep("torrent.png", await page.screenshot());
  const listed = await page.locator(".episodes a").evaluateAll((links) => links.map((a) => [a.hash, a.innerText.replace(/\s+/g, " ")]));
  assert.deepEqual(listed, [
    [`#/watch/${pack.info_hash}-1`, "S01E02 Two"],
    [`#/watch/${pack.info_hash}-0`, "S01E10 Ten"],
    [`#/watch/${pack.info_hash}-2`, "Extra Making Of"],
  ]);
  assert.deepEqual(complaints, []);
  await page.close();
});
