// The npm bittorrent-tracker as a partner: node tracker.mjs PORT [HOST]. HTTP and UDP on HOST (127.0.0.1); a line of JSON on stdout once
// it listens ({"listening": port}) and for each announce ({"event", "info_hash", "left", "uploaded", "downloaded"}).
// Ends with its stdin.
import Server from "bittorrent-tracker/server";

const port = Number(process.argv[2]);
const host = process.argv[3] ?? "127.0.0.1";
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
// Short enough that a test sees a second announce.
const server = new Server({ udp: true, http: true, ws: false, interval: 2000 });
for (const event of ["start", "update", "complete", "stop"]) {
  server.on(event, (_address, params) => {
    const { info_hash, left, uploaded, downloaded, port: peer } = params;
    say({ event, info_hash, left, uploaded, downloaded, peer });
  });
}
server.on("warning", (error) => say({ event: "warning", message: error.message }));
server.on("error", (error) => {
  say({ event: "error", message: error.message });
  process.exit(1);
});
server.listen(port, { http: host, udp4: host }, () => say({ listening: server.http.address().port }));
process.stdin.on("end", () => process.exit(0)).resume();
